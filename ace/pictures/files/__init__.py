"""Files of pictures as people have them, before anything is made a tensor. The same for every way in.

picture_folders   which files of a folder are pictures, and what else lies there
decoding          a file opened, or one sentence on why it cannot be
color_profiles    colours as sRGB
mask_reading      what a file means as a mask: brightness, paint or hole
mask_readings     the names of these
"""

__all__ = ["color_profiles", "decoding", "mask_reading", "mask_readings", "picture_folders"]
