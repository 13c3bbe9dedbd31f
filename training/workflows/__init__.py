"""ComfyUI graphs of this pack's nodes, written from Python: prompts, and files that the front end opens."""
