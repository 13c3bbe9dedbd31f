"""Rounds on disk."""

from __future__ import annotations

from comfyui_ace.ace.files import relative_path
from comfyui_ace.ace.lcu.rounds import StoredImage, StoredRound, load_rounds, save_rounds


def test_rounds_may_lie_on_another_drive(tmp_path, monkeypatch):
    def other_drive(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("comfyui_ace.ace.files.os.path.relpath", other_drive)
    picture = tmp_path / "a.png"
    save_rounds([StoredRound("x", (StoredImage("{image}", picture),))], tmp_path / "r.json")
    assert load_rounds(tmp_path / "r.json")[0].images[0].image == picture
    assert relative_path(picture, tmp_path / "deeper") == picture.as_posix()
