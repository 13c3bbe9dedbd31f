"""Capture over a folder: real ComfyUI servers run a workflow over many inputs, the results become training pairs.

sweep             the whole: a workflow, a folder, a dataset
workflow          workflows as files and as prompts
roles             what roles nodes have: source, mask, result, seed
role_finder       which node has which
inputs            which files belong together
plan              roles and inputs together: jobs
scheduler         jobs on servers
connection        to one server, with what can go wrong
uploads           the folder for what a capture uploads
client            ComfyUI's API
failures          what went wrong, and whether trying again helps
journal           what is done, so that a capture goes on
results           pictures -> pairs
report            what the artist reads
"""

__all__ = [
    "client",
    "errors",
    "failures",
    "plan",
    "report",
    "role_finder",
    "roles",
    "scheduler",
    "sweep",
    "uploads",
    "workflow",
]
