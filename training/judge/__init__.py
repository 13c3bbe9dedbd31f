"""How good a pair is: marks by a vision-language model or from the pixels, and the weights λ that are made of them.

judges      what a judge is; one that asks a vision-language model VIEScore's two questions
opening     from an address to a judge that sees
editscore   the reward model EditScore, where it is installed
pixels      the judge that needs no model
scores      marks, SC, PQ and O, and how they stand in a row
scoring     judges a dataset: resumable, several pairs at once
ranking     the artist's own order of some thirty pairs, by choosing the better of two
report      is this judge any good?
weights     from scores to λ, with undo
weighing    weights and reports with their pages, as commands and nodes ask for them
pages       what would be kept, and how a judge answers, with pictures; the better of two by a click
exports     judged pairs as a fine-tuning set for a smaller judge
command     `comfyui-ace judge` and `comfyui-ace dataset weigh`
prompts     the two questions (private to the room)
parsing     from an answer to marks (private)
statistics  rank correlation and its uncertainty (private)
"""

__all__ = [
    "command",
    "editscore",
    "exports",
    "judges",
    "opening",
    "pages",
    "pixels",
    "prompts",
    "ranking",
    "report",
    "scores",
    "scoring",
    "weighing",
    "weights",
]
