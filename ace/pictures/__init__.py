"""Everything done to pixels and masks. Knows no model.

fit               `Fit`: which part of a picture the model takes, and at what size
resolution        the artist's choice of that size
crop              a picture cut out of a result that shows more
preprocess        layouts of tensors checked and converted; pictures and masks cropped and scaled by a `Fit`
files             folders of pictures; their formats opened; what a file means as a mask
image_files       pictures and masks in files
masks             masks made, cleaned, counted; what the model sees under them
morphology        grow, shrink, feather
random_masks      random strokes and boxes, for training and trying out
outpaint          a larger canvas and its mask
keep_detail       what the VAE lost, given back from the source
paste_back        what is outside the mask, bit for bit
condition_images  pictures that steer: edges, sketch, contour, mosaic, colours
parameters        dataclass fields with bounds and help
line_images       edges, sketch, contour, scribble, doodle (private to the room)
local_gain        how one picture follows another, place by place (private to the room)
"""

__all__ = [
    "condition_images",
    "crop",
    "files",
    "fit",
    "image_files",
    "keep_detail",
    "masks",
    "morphology",
    "outpaint",
    "parameters",
    "paste_back",
    "preprocess",
    "random_masks",
    "resolution",
]
