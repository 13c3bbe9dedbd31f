"""The steps of a run, each on tables of the step before.

Each is done once: a step or a part of it that is there whole is not done again.

work       the run's folder and what all steps share
embedding  pictures to features
copies     equal and nearly equal files
clusters   neighbourhoods for large collections, and the probe of their borders
linking    pairs that pass, and the groups they link
grouping   groups to sets and tested pairs
emitting   sets to datasets
"""

__all__ = ["clusters", "copies", "embedding", "emitting", "grouping", "linking", "work"]
