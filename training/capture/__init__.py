"""Capture over a folder: real ComfyUI servers run a workflow over many inputs, the results become training pairs.

`graph` reads workflows, `roles` says which node plays which part, `inputs` binds files to parts, `plan` puts the three
together into jobs, `scheduler` runs jobs on `server`s, `results` writes pairs, `journal` remembers, `sweep` is the whole.
"""
