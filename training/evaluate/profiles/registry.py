"""The profiles by name."""

from __future__ import annotations

from ..errors import EvaluationError
from .icebench import ICEBENCH
from .magicbrush import EMU, IP2P, MAGICBRUSH
from .people import ANYTEXT, FACE
from .profile import Profile

PROFILES = {profile.name: profile for profile in (MAGICBRUSH, EMU, IP2P, ICEBENCH, ANYTEXT, FACE)}


def find_profile(name: str) -> Profile:
    """Raises `EvaluationError` for a name that there is not."""
    if name not in PROFILES:
        raise EvaluationError(f"there is no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
