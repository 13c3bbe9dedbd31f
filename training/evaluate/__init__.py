"""Student against teacher: how near a trained model comes to the workflow it was distilled from, in numbers and pictures.

cases       held-out pairs, as the student gets them
run         the student's results, timed
few_steps   how few steps a student needs
evaluation  all the numbers
verdict     whether the student can take the teacher's place
metrics     the metrics, as their authors define them
profiles    which metrics a benchmark takes, of what, and how they are averaged
benchmarks  data sets of others: reading, running, comparing with the papers
memory      a meter for peak memory
page        numbers and pictures as a page
"""

__all__ = [
    "benchmarks",
    "cases",
    "errors",
    "evaluation",
    "few_steps",
    "memory",
    "metrics",
    "page",
    "profiles",
    "run",
    "verdict",
]
