"""What the artist means: long-context condition units (Han et al. 2024, section 2.1.2). Knows pictures, no model.

units        `ConditionImage`, `ConditionUnit`, `LongContext`; `resolve` turns them into frames
indicators   the words that name images: {image}, {image1} …
intake       pictures and masks as ComfyUI and files have them, made into condition images
frames       frames as pictures of the sizes the model takes
rounds       the history of rounds in a file
"""

__all__ = ["frames", "indicators", "intake", "rounds", "units"]
