"""Files of what was struck out on the pages."""

from __future__ import annotations

import json

import pytest
from comfyui_ace.training.match.errors import MatchError
from comfyui_ace.training.match.report.choices import find_choices


def test_choices_of_other_sets_are_refused(tmp_path):
    file = tmp_path / "choices.json"
    file.write_text(json.dumps({"format": "ace-match-choices-1", "run": "before", "sets": [], "pictures": []}))
    with pytest.raises(MatchError, match="other pictures or settings"):
        find_choices(str(tmp_path), "now")
    file.write_text("{}")
    with pytest.raises(MatchError, match="no file of choices"):
        find_choices(str(tmp_path), "now")
    with pytest.raises(MatchError, match="sixteen"):
        file.unlink()
        find_choices(str(tmp_path), "now", struck=["7"])


def test_what_is_kept_after_all_is_not_struck_out(tmp_path):
    """A browser names the second save of a page "choices (1).json"; pages of one run know of each other's marks."""

    def save(name, page, time, sets, kept=()):
        data = {
            "format": "ace-match-choices-1",
            "run": "now",
            "page": page,
            "saved": time,
            "sets": sets,
            "pictures": [],
        }
        names = {"sets": [*kept], "pictures": []}
        (tmp_path / name).write_text(json.dumps({**data, "kept": names}))

    def struck(**given):
        told.clear()
        return find_choices(str(tmp_path), "now", **given, notify=told.append).sets

    one, other, told = "0" * 15 + "1", "0" * 15 + "2", []
    save("choices-0001.json", "1", 1000, [one])
    assert struck() == {1}
    save("choices-0002.json", "2", 2000, [one, other])
    assert struck() == {1, 2}
    save("choices-0001 (1).json", "1", 3000, [other], [one])
    assert struck() == {2}
    assert [line.partition(str(tmp_path))[0] for line in told] == ["choices not read: ", *["choices read: "] * 2]
    save("choices-0002 (1).json", "2", 4000, [])  # by a browser that knew of nothing
    assert struck() == {2}
    save("elsewhere.json", "1", 5000, [])
    assert struck(files=[tmp_path / "elsewhere.json"]) == set()
