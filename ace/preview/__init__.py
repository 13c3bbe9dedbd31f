"""What the model will see, drawn before any model is loaded.

overview         a long context as rows of pictures with their words, sizes and notices
canvas_overview  the same of the canvas of ACE++
contact_sheet    those rows as one picture
typesetting      text in pictures
"""

__all__ = ["canvas_overview", "contact_sheet", "overview", "typesetting"]
