"""The ways to read a file as a mask, for menus and command lines, which must not wait for numpy."""

MASK_READINGS = {
    "auto": "what the file most probably means",
    "brightness": "white may change, black stays; transparency is not looked at",
    "opaque": "what is painted may change, what is transparent stays",
    "transparent": "the hole may change, what is opaque stays",
}
