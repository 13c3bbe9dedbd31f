"""How functions tell the artist what they changed or dropped: a callable that takes one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable

Notify = Callable[[str], None]
log_notice: Notify = logging.getLogger(__name__).warning


def silent(_message: str) -> None:
    """The notify function of a caller who wants no notices."""
