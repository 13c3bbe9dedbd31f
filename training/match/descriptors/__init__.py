"""Descriptors: one vector a picture, such that alike pictures have vectors that point the same way.

base      what a descriptor is, and the one by a name or path
layout    built in: where what lies in the picture
style     built in: palette, contrast and texture
encoded   any vision encoder from a local path
faces     the one face in a picture, by a detector and a recogniser from local files
"""

__all__ = ["base", "layout", "registry", "style"]
