"""Workflow distillation: pairs on disk, capture, the trainer, and what is made of them. No ComfyUI in here.

dataset     training pairs on disk
capture     servers run a workflow over a folder
label       instructions for pairs, checked and corrected
match       pairs from collections of pictures
encoders    vision encoders from the user's own files
judge       how good a pair is, and the weights made of that
trainer     from pairs to a LoRA or a whole model
evaluate    student against teacher
vision_language  models that answer questions about pictures
workflows   graphs of our nodes, written from Python
distil      the whole loop's second half: train, compare, hand back a workflow
distil_config  what it is told, and the configuration of the training
measuring   a distilled student on held-out pairs
outlook     what more steps and pairs would bring, in sentences
learning_curve  students of halves of the pairs, for that
tiny        how the small bundle was made
errors      what stops work on datasets
arguments   types of command line arguments
packages    what a host may lack for training
listing     long lists in messages
pages       HTML pages
"""

__all__ = [
    "arguments",
    "capture",
    "dataset",
    "distil",
    "distil_config",
    "encoders",
    "errors",
    "evaluate",
    "judge",
    "label",
    "listing",
    "match",
    "measuring",
    "packages",
    "pages",
    "tiny",
    "trainer",
    "vision_language",
    "workflows",
]
