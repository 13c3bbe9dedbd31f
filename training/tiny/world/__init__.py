"""What ace-tiny knows: pictures, words for them, and edits, endless and by number.

photographs, drawings, pictures   parts of photographs and drawings made by chance
shapes, colours, scenes           drawn scenes of shapes, and the sentences that describe them
figures, landscapes               drawn landscapes with houses, trees, people …, and their sentences
operations, edits, repainting     what an edit does to pixels; what is made up
phrasings, language               how it is asked for
examples                          of all tasks, by number
"""

__all__ = [
    "colours",
    "edits",
    "examples",
    "figures",
    "landscapes",
    "language",
    "operations",
    "photographs",
    "phrasings",
    "pictures",
    "scenes",
    "shapes",
]
