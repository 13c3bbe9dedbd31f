"""The Python in the manual runs, with the small bundle under the published one's name."""

from __future__ import annotations

import runpy

import pytest
from docs.manual import pages

# What an example says, and what runs here instead.
SUBSTITUTIONS = {'device="cuda"': 'device="cpu"'}
PAGES = [one for one in pages() if any(block.language == "python" for block in one.blocks())]


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_examples_run(one, workspace):
    """All of a page as one program, so that later examples go on from earlier ones."""
    code = "\n".join(block.text for block in one.blocks() if block.language == "python")
    for written, run in SUBSTITUTIONS.items():
        code = code.replace(written, run)
    program = workspace / "example.py"
    program.write_text(code, encoding="utf-8")
    runpy.run_path(str(program))
    assert (workspace / "snow.png").is_file()


def test_every_substitution_is_needed():
    text = "".join(block.text for one in PAGES for block in one.blocks())
    assert len(PAGES) >= 2 and [written for written in SUBSTITUTIONS if written not in text] == []
