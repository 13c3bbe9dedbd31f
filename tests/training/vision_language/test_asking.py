"""Asking about several things at once."""

from __future__ import annotations

import threading

import pytest
from comfyui_ace.training.vision_language.asking import ask_about
from comfyui_ace.training.vision_language.errors import ServerUnreachable


def test_what_was_under_way_when_the_server_went_is_taken():
    gone, taken = threading.Event(), {}

    def ask(item: str) -> str:
        if item == "lost":
            gone.set()
            raise ServerUnreachable("gone")
        assert gone.wait(30)
        threading.Event().wait(0.2)  # the error is settled first
        return item.upper()

    with pytest.raises(ServerUnreachable, match="gone"):
        ask_about(
            ["slow", "lost"], ask, parallel=2, take=taken.__setitem__, fail=lambda *_: pytest.fail("not one of many")
        )
    assert taken == {"slow": "SLOW"}
