"""Capture over a folder: real ComfyUI servers run a workflow over many inputs, the results become training pairs.

sweep             the whole: a workflow, a folder, a dataset
workflow          workflows as files and as prompts
roles             which node plays which part
inputs            which file goes to which part
plan              the three together: jobs
scheduler         jobs on servers
connection        to one server, with what can go wrong
client            ComfyUI's API
failures          what went wrong, and whether trying again helps
journal           what is done, so that a capture goes on
results           pictures -> pairs
report            what the artist reads
"""

__all__ = ["client", "errors", "failures", "plan", "report", "roles", "scheduler", "sweep", "workflow"]
