"""What a model is asked about a pair's pictures, what its answers say, and whether they are true.

prompts     the questions
answers     from answers to what they say, or to nothing
checks      mirrored, exchanged, identical, in the right place, really there
changes     where two pictures differ, by their pixels
words       colours, numbers and directions in a text, and how new it is
recognise   tasks that can be told from the pixels, and their templates
"""

__all__ = ["answers", "changes", "checks", "prompts", "recognise", "words"]
