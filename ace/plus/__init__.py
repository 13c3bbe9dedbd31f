"""ACE++ (Mao et al. 2025): the condition unit as channels of FLUX Fill. Knows pictures and what the artist means, no model.

request   what a unit asks for: the picture to edit, one reference, the words
canvas    both pictures on one canvas, the mask, and what of it is erased
layouts   which pictures become channels beside the mask
prompt    words as the token ids that the model was trained with
"""

__all__ = ["canvas", "layouts", "prompt", "request"]
