"""Where pairs come from: the graph that made them, kept once, without secrets.

provenance   graphs by their hash
redaction    keys, tokens and folders that are taken out of them (private to the room)
"""

__all__ = ["provenance", "redaction"]
