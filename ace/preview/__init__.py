"""What the model will see, drawn before any model is loaded.

overview        a long context as rows of pictures with their words, sizes and notices
contact_sheet   those rows as one picture
typesetting     text in pictures
"""

__all__ = ["contact_sheet", "overview", "typesetting"]
