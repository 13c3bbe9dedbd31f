"""Everything done to pixels and masks. Knows no model.

preprocess        layouts, sizes, `Fit`: how a picture of one size becomes one the model takes
resolution        which size that is
image_files       pictures and masks in files
masks             masks made, cleaned, counted; what the model sees under them
morphology        grow, shrink, feather
random_masks      masks by chance, for training and trying out
outpaint          a larger canvas and its mask
paste_back        what is outside the mask, bit for bit
condition_images  pictures that steer: edges, sketch, contour, mosaic, colours
parameters        checks of the numbers that those take
line_images       lines found in pictures (private to the room)
"""

__all__ = [
    "condition_images",
    "image_files",
    "masks",
    "morphology",
    "outpaint",
    "parameters",
    "paste_back",
    "preprocess",
    "random_masks",
    "resolution",
]
