"""Missing packages are said when the pack is loaded, with the line that installs them."""

from __future__ import annotations

import sys

from comfyui_ace.nodes.host import requirements


def test_a_missing_package_is_named_with_the_line_for_this_python(monkeypatch, caplog):
    found = requirements.find_spec
    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "ftfy" else found(name))
    requirements.warn_of_missing()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "ftfy" in record.getMessage() and f"{sys.executable}" in record.getMessage()
    assert "-m pip install ftfy" in record.getMessage()


def test_nothing_is_said_where_all_is_there(monkeypatch, caplog):
    monkeypatch.setattr(requirements, "find_spec", lambda name: object())
    requirements.warn_of_missing()
    assert caplog.records == []


def test_what_another_python_needs_is_not_missing_here(monkeypatch, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# of the pack\n\nno-such-package>=1; python_version < '3'\nnot-there-either>=2\n")
    monkeypatch.setattr(requirements, "_FILE", file)
    assert requirements.missing_requirements() == ["not-there-either"]
