"""What the command line prints goes through every console and pipe."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
from collections.abc import Iterator

import pytest
from comfyui_ace.cli import build_parser, main
from comfyui_ace.commands.output import allow_any_text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "cp932", "gbk", "utf-8"])
def test_no_encoding_stops_output(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    allow_any_text(stream)
    stream.write("α … “grün” → 变 😀 1024×768 \ud800\n")
    stream.flush()
    text = stream.buffer.getvalue().decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")
    assert text.endswith("\n") and "1024" in text and ("gr" in text)
    assert encoding != "ascii" or text == 'alpha ... "grun" -> ? ? 1024x768 ?\n'


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932"])
def test_every_help_page_goes_through_a_pipe(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    allow_any_text(stream)
    for parser in _parsers(build_parser()):
        stream.write(parser.format_help())
    stream.flush()
    assert stream.buffer.getvalue().count(b"usage: ") > 12


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _parsers(inner)


def test_machine_readable_output_is_ascii(tmp_path, capsys):
    assert main(["dataset", "check", str(tmp_path / "größe"), "--json"]) == 1
    out = capsys.readouterr().out
    assert out.isascii() and "größe" in json.loads(out)["error"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EFBIG, 9999])
def test_errors_of_the_system_are_sentences(capsys, monkeypatch, code):
    def fail(arguments):
        raise OSError(code, os.strerror(code), "big.png")

    monkeypatch.setattr("comfyui_ace.commands.edit.run_edit", fail)
    assert main(["edit", "x", "photo.png"]) == 1
    error = capsys.readouterr().err
    assert "big.png" in error and "Errno" not in error
