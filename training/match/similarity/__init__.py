"""The second turn's similarity of two pictures: any function of two pictures, or one of these.

base        what a similarity is, and the one by a name, a path or a function
described   the cosine of any descriptor: faces, style, encoders
regions     the most alike parts of two pictures, by an encoder: the same thing in another place
keypoints   local structure that both pictures have in one consistent geometry, without weights
"""

__all__ = ["base", "registry"]
