"""Workflow distillation: pairs on disk, capture, the trainer, and what is made of them. No ComfyUI in here.

dataset     training pairs on disk
capture     servers run a workflow over a folder
trainer     from pairs to a LoRA or a whole model
evaluate    student against teacher
workflows   graphs of our nodes, written from Python
distil      the whole loop's second half: train, compare, hand back a workflow
tiny        how the small bundle was made
errors      what stops work on datasets
arguments   kinds of command line arguments
packages    what a host may lack for training
pages       HTML pages
"""

__all__ = [
    "arguments",
    "capture",
    "dataset",
    "distil",
    "errors",
    "evaluate",
    "packages",
    "pages",
    "tiny",
    "trainer",
    "workflows",
]
