"""Where the pack meets ComfyUI: its MODEL, CLIP and VAE, its folders, types and messages.

model         the transformer as a native MODEL
text_encoder  the host's CLIP as our text encoder, and a folder opened as CLIP
vae           the host's VAE as ours
paths         models, datasets and runs in the host's folders
types         the socket types
choices       values of menus that bring their own widgets
messages      what the artist reads on nodes
"""

__all__ = ["choices", "messages", "model", "paths", "text_encoder", "types", "vae"]
