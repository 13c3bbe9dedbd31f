"""Every link and picture of the manual and of the help pages leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from docs.manual import HELP, REPOSITORY, Page, pages
from PIL import Image
from repository import ROOT, repository_files

MOST_BYTES = 1_000_000  # of all pictures of the manual
_OURS = re.compile(re.escape(REPOSITORY) + r"/(?:blob|tree)/main/([^#\s)]+)(?:#(\S+))?")
_SITE_PAGES = ("", "/discussions", "/issues", "/issues/new/choose")
_HELP_PAGES = [Page(path) for path in sorted(HELP.rglob("*.md"))]


def test_the_manual_is_read():
    names = {one.name for one in pages()}
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/README.md", "bundles/ace-tiny/README.md"} <= names
    assert len(_HELP_PAGES) > 40
    assert sum(1 for one in pages() for _ in one.links()) > 60


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_links_of_the_manual(one):
    faults = [fault for link in one.links() if (fault := _fault(link, one, one.path.parent))]
    assert faults == []


def test_links_of_the_help_pages():
    """The front end looks for pictures beside the English pages, whatever the language."""
    faults = [
        f"{one.name}: {fault}" for one in _HELP_PAGES for link in one.links() if (fault := _fault(link, one, HELP))
    ]
    assert faults == []


def test_every_page_is_in_the_index():
    index = Page(ROOT / "docs" / "README.md")
    linked = {(index.path.parent / link.partition("#")[0]).resolve() for link in index.links()}
    assert {one.path for one in pages() if one.path.parent == index.path.parent} - {index.path} <= linked


def test_pictures_are_small_and_used():
    pictures = {name for name in repository_files() if name.startswith("docs/images/")}
    assert pictures and sum((ROOT / name).stat().st_size for name in pictures) < MOST_BYTES
    shown = {(one.path.parent / link).resolve() for one in pages() for link in one.links() if "://" not in link}
    icon = "docs/images/icon.png"  # the registry shows it: see test_registry.py
    assert {name for name in pictures if (ROOT / name) not in shown} == {icon}
    for name in pictures:
        with Image.open(ROOT / name) as picture:
            assert len(picture.convert("RGB").resize((64, 64)).getcolors(1 << 24)) > 30, f"nothing is drawn on {name}"


def test_a_broken_link_is_found(tmp_path):
    """The test itself: none of these may pass."""
    one = Page(ROOT / "docs" / "README.md")
    broken = ["nowhere.md", "distilling.md#nowhere", "#nowhere", "../docs/images/none.webp", "http://plain.example/x"]
    broken += [
        "/absolute.md",
        f"{REPOSITORY}/blob/main/docs/nowhere.md",
        f"{REPOSITORY}/blob/main/README.md#nowhere",
    ]
    assert [link for link in broken if not _fault(link, one, one.path.parent)] == []
    assert _fault("distilling.md#5-distil", one, one.path.parent) == ""


def _fault(link: str, one: Page, base: Path) -> str:
    """What is wrong with a link on this page; "" for nothing."""
    if found := _OURS.fullmatch(link):
        return _fault_of_file(ROOT / unquote(found[1]), found[2] or "", link)
    address = urlsplit(link)
    if address.scheme or address.netloc:
        if link.startswith(REPOSITORY) and link.removeprefix(REPOSITORY) not in (*_SITE_PAGES, ".git"):
            return "" if "/compare/" in link or "/releases/" in link else f"{link} is no page of the repository"
        return "" if address.scheme == "https" and "." in address.netloc else f"{link} is no https address"
    if address.path.startswith("/"):
        return f"{link} is absolute"
    target = one.path if not address.path else (base / unquote(address.path)).resolve()
    return _fault_of_file(target, address.fragment, link)


def _fault_of_file(target: Path, fragment: str, link: str) -> str:
    name = target.resolve().relative_to(ROOT).as_posix() if target.resolve().is_relative_to(ROOT) else ""
    if name not in repository_files() and not any(file.startswith(f"{name}/") for file in repository_files()):
        return f"{link} leads to nothing in the repository"
    if fragment and (target.suffix != ".md" or fragment not in Page(target).anchors()):
        return f"{link}: {name} has no heading of that name"
    return ""
