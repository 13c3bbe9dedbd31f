"""The report shows every pair, needs no network, and nothing in a pair can become markup."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.report import write_report
from comfyui_ace.training.errors import DatasetError
from pair_factory import half_mask, pair, picture

pytestmark = pytest.mark.usefixtures("no_sync")


class Page(HTMLParser):
    """Collects tags, attributes and visible text."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []
        self.shown = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.shown += data


@pytest.fixture
def dataset(tmp_path):
    made = Dataset.create(tmp_path, "pictures")
    for seed in range(7):
        made.append(pair(seed, tags=["morning"], scores={"judge": {"sc": seed}}))
    made.append(pair(20, references=[picture(21)], masks=[np.full((24, 32), 255, np.uint8), half_mask()]))
    made.append(pair(30, target=picture(30)))
    return made


def test_all_pairs_are_on_pages_that_link_to_each_other(dataset):
    index = write_report(dataset, page_size=3)
    assert index == dataset.folder / "report" / "index.html"
    pages = sorted(index.parent.iterdir())
    assert [page.name for page in pages] == ["index.html", "pairs-0001.html", "pairs-0002.html", "pairs-0003.html"]
    text = "".join(page.read_text() for page in pages)
    for row in dataset.rows():
        assert f'id="{row.id}"' in text
    overview = Page(index)
    assert "8 (" in overview.shown and "judge.sc" in overview.shown and "morning: 7" in overview.shown
    assert "the result equals its source" in overview.shown
    for page in pages:
        for value in Page(page).values:
            assert value.startswith("data:image/jpeg;base64,") or (page.parent / value).resolve().is_file(), value
    rich = Page(pages[3])
    assert rich.tags.count("img") == 3 + 2 + 2 and "mask of the reference 1" in rich.shown


def test_nothing_is_fetched_from_anywhere(dataset):
    for page in write_report(dataset).parent.iterdir():
        assert not re.search(r"(src|href)=.?(https?:)?//|@import|url\(", page.read_text())


def test_words_cannot_become_markup(dataset):
    evil = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\" '&"
    dataset.append(pair(40, instruction=evil, tags=[evil], scores={evil: 1.0}))
    dataset.append(pair(41, target=picture(41), instruction=evil, name=evil))
    for page in write_report(dataset).parent.iterdir():
        parsed = Page(page)
        assert parsed.tags.count("script") <= 1
        assert "x" not in parsed.values
        assert page.name == "index.html" or evil in parsed.shown


def test_unreadable_pictures_are_shown_as_such(dataset):
    row = next(dataset.rows())
    (dataset.folder / row.target_file_name).write_bytes(b"broken")
    (dataset.folder / row.source_file_name).unlink()
    index = write_report(dataset)
    page = Page(index.parent / "pairs-0001.html")
    assert "cannot be read" in page.shown and "not a picture" in page.shown
    assert "unreadable: 1" in Page(index).shown


def test_nothing_existing_is_overwritten(dataset, tmp_path):
    first = write_report(dataset)
    assert write_report(dataset).parent.name == "report-2"
    with pytest.raises(DatasetError, match="there already"):
        write_report(dataset, first.parent)
    assert write_report(dataset, tmp_path / "elsewhere" / "r") == tmp_path / "elsewhere" / "r" / "index.html"


def test_an_empty_dataset_has_a_report(tmp_path):
    index = write_report(Dataset.create(tmp_path, "d"))
    assert "0 (" in Page(index).shown


def test_a_report_that_is_interrupted_leaves_nothing(dataset):
    before = sorted(path.name for path in dataset.folder.iterdir())

    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(dataset, page_size=3, progress=interrupt)
    assert sorted(path.name for path in dataset.folder.iterdir()) == before
    assert write_report(dataset).parent.name == "report"
