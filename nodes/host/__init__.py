"""Where the pack meets ComfyUI: its MODEL, CLIP and VAE, its folders, types and messages.

model         the transformer as a native MODEL
editnet       control branches on a MODEL
text_encoder  the host's CLIP as our text encoder, and a folder opened as CLIP
vae           the host's VAE as ours
flux          the host's FLUX, for ACE++
paths         models, datasets and runs in the host's folders
examples      photographs of the pack, copied into the input folder when a graph names them
routes        the pack's own routes on the server
types         the socket types
node          the class of all nodes: errors in plain words
requirements  packages that are missing
choices       values of menus that bring their own widgets
parameters    widgets made from parameters
messages      what the artist reads on nodes
"""

__all__ = [
    "choices",
    "editnet",
    "examples",
    "flux",
    "messages",
    "model",
    "node",
    "parameters",
    "paths",
    "requirements",
    "routes",
    "text_encoder",
    "types",
    "vae",
]
