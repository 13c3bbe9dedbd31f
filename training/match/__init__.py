"""Pairs from collections: ACE's second way to data (Han et al. 2024, section 3.1 and figure 4).

Pictures are embedded, look-alikes are found and grouped in two turns of union-find, and every pair that becomes an
example has been tested itself. The same functions serve a folder on one machine and billions of pictures on many.

run           a run from folders to a report and datasets
settings      what is looked for, with presets
errors        what can go wrong
engines       this machine, or Ray
disk          tables, places, pictures
descriptors   vectors of pictures
similarity    the second turn's comparison
embed         files to features; copies
cluster       neighbourhoods of large collections
link          pairs that pass, groups
sets          sets in which everybody was compared
emit          examples and datasets
report        pages, and striking out
steps         the run's steps over tables
optional      packages that only some of it needs
"""

__all__ = [
    "cluster",
    "descriptors",
    "disk",
    "embed",
    "emit",
    "engines",
    "errors",
    "link",
    "report",
    "run",
    "settings",
    "similarity",
    "steps",
]
