"""How near pictures, words and faces are, each metric as its authors define it.

image_metrics    two pictures of one size: all that a distillation's report shows
perceptual       MS-SSIM, GMSD, spectrum of detail: no weights needed
texture          structure and texture on VGG16, where its weights are
preprocessing    pictures as the published scripts hand them to encoders, to the pixel
encoders         CLIP and DINO from files of the user, with their checksum
similarity       cosines, directions, means with a count of what is not defined
lettering        lines of text: edit distance and accuracy, and OCR
faces            identity: cosine, and the share above the paper's threshold
"""

__all__ = ["encoders", "faces", "image_metrics", "lettering", "perceptual", "preprocessing", "similarity"]
