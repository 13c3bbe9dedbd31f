"""Edits of a part of a picture.

masks        the nodes Mask Prepare and Random Mask
inpaint      the node Inpaint
outpaint     the node Outpaint
paste_back   the node Paste Back
crop         the node Crop
"""

__all__ = ["crop", "inpaint", "masks", "outpaint", "paste_back"]
