"""Colours of files that carry an ICC profile, such as Display P3 of phones, as the sRGB that models were trained on."""

from __future__ import annotations

import io

from PIL import Image

_MODES = {"RGB": ("RGB", "RGBA"), "GRAY": ("L", "LA"), "CMYK": ("CMYK",)}


def to_srgb(picture: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture with its colours in sRGB, and notes on what was done about its profile.

    A profile that cannot be read or does not fit the picture is said and left aside, as other programs do.
    """
    data = picture.info.get("icc_profile")
    if not data:
        return picture, ()
    try:
        from PIL import ImageCms

        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = " ".join(ImageCms.getProfileDescription(profile).split()) or "without a name"
        space = profile.profile.xcolor_space.strip()
    except Exception:  # damaged profiles fail in whatever way; also where Pillow came without LittleCMS
        return picture, ("colour profile that cannot be read, ignored",)
    if "srgb" in name.lower():
        return picture, ()
    if picture.mode == "P":
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if picture.mode not in _MODES.get(space, ()):
        return picture, () if picture.mode in ("L", "LA", "1") else (f"colour profile {name} does not fit, ignored",)
    if picture.mode == "LA":  # of grey, only what has no alpha can be converted
        return picture, ()
    try:
        target = ImageCms.createProfile("sRGB")
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, profile, target, outputMode=mode)
    except Exception:
        return picture, (f"colour profile {name} cannot be used, ignored",)
    converted.info.pop("icc_profile", None)
    return converted, (f"colours converted from {name} to sRGB",)
