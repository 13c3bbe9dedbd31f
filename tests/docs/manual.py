"""The manual as tests read it: its pages, their links, headings, tables and blocks of code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from repository import ROOT, repository_files

HELP = ROOT / "web" / "docs"  # in ComfyUI; tests/nodes looks at what these say
REPOSITORY = "https://github.com/ace-edit/ace-edit"
_HTML_TARGET = re.compile(r"(?:src|href)=[\"']?([^\"'\s>]+)")
_NO_LETTER = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, where it begins, and what is in it."""

    language: str
    line: int
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        """Without the front matter that Hugging Face reads."""
        text = self.path.read_text(encoding="utf-8")
        return re.sub(r"\A---\n.*?\n---\n", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)

    def tokens(self) -> list[Token]:
        return _parse(self.text)

    def blocks(self) -> list[Block]:
        fences = [token for token in self.tokens() if token.type in ("fence", "code_block")]
        return [Block(token.info.strip(), token.map[0] + 1, token.content) for token in fences]

    def links(self) -> Iterator[str]:
        """Targets of links and pictures, in Markdown or in HTML."""
        for token in self.tokens():
            for part in (token, *(token.children or ())):
                if part.type in ("link_open", "image"):
                    yield part.attrs.get("href") or part.attrs["src"]
                elif part.type in ("html_block", "html_inline"):
                    yield from _HTML_TARGET.findall(part.content)

    def codes(self) -> list[str]:
        """What stands in backquotes in the running text."""
        parts = (part for token in self.tokens() for part in token.children or ())
        return [part.content for part in parts if part.type == "code_inline"]

    def headings(self) -> list[str]:
        return [_plain(after) for token, after in pairwise(self.tokens()) if token.type == "heading_open"]

    def anchors(self) -> set[str]:
        """The names under which GitHub makes headings known."""
        seen, found = Counter(), set()
        for heading in self.headings():
            name = _NO_LETTER.sub("", heading.lower()).replace(" ", "-")
            found.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
        return found

    def sections(self) -> dict[str, str]:
        """The source under each heading, down to the next one of any depth."""
        lines, found, heading, start = self.text.splitlines(), {}, "", 0
        for token, after in pairwise(self.tokens()):
            if token.type == "heading_open":
                found[heading] = "\n".join(lines[start : token.map[0]])
                heading, start = _plain(after), token.map[1]
        return {**found, heading: "\n".join(lines[start:])}


@cache
def _parse(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def _plain(heading: Token) -> str:
    return "".join(part.content for part in heading.children if part.type in ("text", "code_inline"))


def rows(section: str) -> list[list[str]]:
    """The cells of the tables in a section, without their heads."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    heads = {number - 1 for number, line in enumerate(lines) if not set(line) - set("|- :")}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for number, line in enumerate(lines)
        if number not in heads and set(line) - set("|- :")
    ]


@cache
def pages() -> list[Page]:
    """The manual: all Markdown of the repository but help pages and what belongs to tests."""
    names = sorted(name for name in repository_files() if name.endswith(".md"))
    return [Page(ROOT / name) for name in names if not name.startswith(("web/", "tests/"))]


def page(name: str) -> Page:
    return Page(ROOT / name)
