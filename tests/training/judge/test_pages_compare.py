"""The page on which the artist clicks the better of two pairs."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.judge.pages.compare import ComparePage
from comfyui_ace.training.judge.ranking import artist_scores, comparisons
from pair_factory import pair

PAIRS = 4


@pytest.fixture
def dataset(tmp_path):
    made = Dataset.create(tmp_path, "clicked")
    for number in range(PAIRS):
        assert made.append(pair(number, instruction=f"<b>{number}</b>")).stored
    return made


@pytest.fixture
def page(dataset):
    found, stop = ComparePage(dataset, 30), threading.Event()
    thread = threading.Thread(target=found.serve, args=(stop.is_set,), daemon=True)
    thread.start()
    yield found
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def fetch(address, data=None):
    with urllib.request.urlopen(address, data, timeout=30) as response:
        return response.read().decode()


def choose(page, html, better):
    """Clicks as a browser would; gives the next page."""
    first, second = re.findall(r'name="(?:first|second)" value="([^"]+)"', html)
    fields = {"first": first, "second": second, "better": {"left": first, "right": second, "none": ""}[better]}
    return fetch(page.address, urllib.parse.urlencode(fields).encode())


def test_clicks_become_the_artists_order(dataset, page):
    """The pair with the higher number always wins."""
    order = [row.id for row in dataset.rows()]
    html = fetch(page.address)
    assert html.count("data:image/jpeg") == 4 and "&lt;b&gt;" in html and "<b>" not in html
    clicks = 0
    while "enough" not in html:
        first, second = re.findall(r'name="(?:first|second)" value="([^"]+)"', html)
        html = choose(page, html, "left" if order.index(first) > order.index(second) else "right")
        clicks += 1
    assert clicks == len(comparisons(dataset)) == PAIRS * (PAIRS - 1) // 2 and page.done
    strength = artist_scores(dataset)
    assert sorted(strength, key=strength.get) == order


def test_no_difference_is_an_answer_too(dataset, page):
    choose(page, fetch(page.address), "none")
    assert [one.better for one in comparisons(dataset)] == [None]


def test_only_who_knows_the_address_and_real_pairs_count(dataset, page):
    root = page.address[: page.address.index("/", 8) + 1]
    fields = urllib.parse.urlencode({"first": "a", "second": "b", "better": "a"}).encode()
    for address, data, status in ((root, None, 404), (root, fields, 404), (page.address, fields, 400)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(address, data)
        assert caught.value.code == status
    with pytest.raises(urllib.error.HTTPError):
        fetch(page.address, b"x" * 5000)
    assert comparisons(dataset) == []
