"""Where captured pictures lie in a server's input folder."""

SUBFOLDER = "ace-capture"
"""What a capture uploads. It is no folder of the artist's, so menus leave it out."""
