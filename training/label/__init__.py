"""Instructions for pairs: a vision-language model sees what differs, words are made of it, checks and people decide.

labelling   labels a dataset: resumable, several pairs at once
labeller    one pair: two calls, checks, rewrites; or a recognised task's templates
settings    what is asked for, and what a pair is shown as
labels      a label, its texts and where they come from
journal     all labels of a dataset by pair, in ``label/labels.jsonl``
applying    from labels to rows, with preview and undo; and a person's decision about one pair
report      what has become of them, in numbers
sets        what all pictures of a set share
chains      pairs that follow one another become rounds of a long context
exports     accepted labels as a fine-tuning set for a captioner
review      labels as a person goes through them
opening     from an address to a model that sees
command     `comfyui-ace label`
analysis    the questions, what the answers say, and the checks (private to the room)
"""

__all__ = [
    "applying",
    "chains",
    "command",
    "exports",
    "journal",
    "labeller",
    "labelling",
    "labels",
    "opening",
    "report",
    "review",
    "sets",
    "settings",
]
