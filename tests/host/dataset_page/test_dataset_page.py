"""The page of datasets in ComfyUI's own front end, over photographs and over five thousand small pairs."""

from __future__ import annotations

import time

import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.judge.ranking import comparisons
from host.dataset_page.page_datasets import make_many, make_photographs
from host.harness.browser import ComfyPage
from host.harness.contrast import WEAK_TEXTS

PHOTOGRAPHS, MANY, COUNT = "photographs", "many small", 5000


@pytest.fixture(scope="module")
def root(comfy):
    return comfy.base_dir / "output" / "datasets"


@pytest.fixture
def photographs(comfy, root, request) -> Dataset:
    """One of its own for each test, because they change it."""
    test = request.node.name.removeprefix("test_").replace("[", " ").strip("]")
    return make_photographs(root, f"{PHOTOGRAPHS} {test[-40:].strip('_ ')}")


@pytest.fixture(scope="module")
def many(comfy, root) -> Dataset:
    return make_many(root, MANY, COUNT)


class Page:
    """The page as an artist uses it."""

    def __init__(self, comfy_page: ComfyPage, dataset: Dataset):
        self.comfy = comfy_page
        self.page = comfy_page.page
        self.page.keyboard.press("Shift+D")
        self.page.wait_for_selector(".ace-page")
        self.choose(dataset)

    def choose(self, dataset: Dataset) -> None:
        self.page.wait_for_function(
            "name => [...document.querySelectorAll('.ace-head option')].some(o => o.value === name)", arg=dataset.name
        )
        self.page.locator(".ace-head select").first.select_option(dataset.name)
        self.page.wait_for_selector(".ace-cell[data-pair]:not([data-pair='']) .ace-there")

    @property
    def grid(self):
        return self.page.locator(".ace-scroll")

    def cells(self) -> list[str]:
        """Ids of the pairs that exist in the page, in the order of the list."""
        return self.page.evaluate(
            "() => [...document.querySelectorAll('.ace-cell')].sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
            ".map(cell => cell.dataset.pair)"
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def told(self, text: str) -> None:
        self.page.wait_for_function(
            "text => [...document.querySelectorAll('.ace-note, .ace-message')]"
            ".some(note => !note.hidden && note.innerText.includes(text))",
            arg=text,
        )

    def errors(self) -> list[str]:
        return [
            str(message) for message in self.comfy.errors if "dataset_page" in message.url or "/ace/" in message.url
        ]


def until(condition, what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_pairs_are_looked_at_and_changed_by_keys(open_page, comfy, photographs, nodes_2):
    page = Page(open_page(comfy, nodes_2=nodes_2), photographs)
    name = "nodes-2" if nodes_2 else "canvas"
    page.comfy.screenshot(f"datasets-{name}")
    assert page.grid.bounding_box()["height"] > 400, "the list has no room in the sidebar"
    last = list(photographs.rows())[-1].id
    assert page.cells()[0] == last, "the newest pair comes first"
    nodes = page.page.evaluate("() => app.graph.nodes.length")

    page.grid.focus()
    # Closed and opened again, it has the keys at once: ComfyUI would change the graph with them.
    for is_open in (False, True):
        page.press("Shift+D")
        page.page.wait_for_function("there => !!document.querySelector('.ace-page') === there", arg=is_open)
    page.page.wait_for_function("() => document.activeElement.matches('.ace-scroll')")
    page.page.wait_for_selector(f".ace-current[data-pair='{last}']")
    before = photographs.row(last).split
    page.press("Home", "+", "+", "s")  # faster than the first is written
    until(lambda: photographs.row(last).split != before, "the split did not change")
    assert photographs.row(last).weight == 1.5, "a step was lost"
    page.press("Control+z")
    until(lambda: photographs.row(last).split == before, "the split did not come back")

    page.press("Enter")
    page.page.wait_for_selector(".ace-viewer[open] .ace-after")
    page.page.wait_for_function("() => document.querySelector('.ace-after').naturalWidth > 400")
    # As the instruction names them.
    assert page.page.locator(".ace-viewer .ace-strip .ace-choice").all_inner_texts() == ["source", "{image1}"]
    page.press(",", ",")
    assert page.page.evaluate("() => document.querySelector('.ace-edge').style.left") == "40%"
    page.comfy.screenshot(f"datasets-viewer-{name}")
    page.press("e")
    page.page.keyboard.type("{image} as a pen drawing")
    page.press("Control+Enter")
    until(lambda: photographs.row(last).instruction == "{image} as a pen drawing", "the words were not saved")
    page.page.locator(".ace-earlier button").first.wait_for()
    page.press("Escape", "Escape")
    page.page.wait_for_selector(".ace-viewer[open]", state="detached")

    page.press("Delete")
    until(lambda: last not in photographs, "the pair was not deleted")
    assert page.page.evaluate("() => app.graph.nodes.length") == nodes, "Delete reached ComfyUI's graph"
    page.press("3")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-cell').length === 1")
    page.press("r")
    until(lambda: last in photographs, "the pair was not restored")
    assert verify(photographs.folder).faults == []
    assert page.errors() == [] and page.comfy.foreign_requests == []


_IS_FILTERED = "wanted => document.querySelector('.ace-counts').innerText.includes('of 24') === wanted"


def test_what_is_found_is_what_is_looked_for(open_page, comfy, photographs):
    """Escape leads from the search to everything, Enter to what was found."""
    page = Page(open_page(comfy), photographs)
    search = page.page.locator(".ace-search")
    counts = page.page.locator(".ace-counts")
    page.grid.focus()
    for key, left, found in (("Escape", "", False), ("Enter", "sepia", True)):
        page.press("/")
        page.page.keyboard.type("sepia")
        counts.get_by_text("6 of 24").wait_for()
        page.press(key)
        page.page.wait_for_function(_IS_FILTERED, arg=found)
        assert search.input_value() == left and page.page.evaluate(
            "() => document.activeElement.matches('.ace-scroll')"
        )
    assert page.errors() == []


def test_rejected_pairs_say_why(open_page, comfy, photographs):
    page = Page(open_page(comfy), photographs)
    page.grid.focus()
    page.press("2")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-rejected').length === 2")
    assert page.page.locator(".ace-mark.ace-bad").all_inner_texts()[-1] == "Nothing changed"
    page.press("End", "Enter")
    page.page.wait_for_selector(".ace-viewer[open] .ace-reason")
    page.comfy.screenshot("datasets-rejected")
    assert page.errors() == []


def test_a_second_window_is_told_and_overwrites_nothing(open_page, comfy, photographs):
    one, two = (Page(open_page(comfy), photographs) for _ in range(2))
    last = list(photographs.rows())[-1].id
    for page in (one, two):
        page.grid.focus()
        page.press("Home", "e")
        page.page.wait_for_selector(".ace-form textarea:focus")
    one.page.keyboard.type("{image} by one")
    two.page.keyboard.type("{image} by two")
    one.press("Control+Enter")
    until(lambda: photographs.row(last).instruction == "{image} by one", "the first window did not save")
    two.press("Control+Enter")
    two.told("{image} by one")
    assert photographs.row(last).instruction == "{image} by one"
    two.comfy.screenshot("datasets-stale")
    two.page.locator(".ace-message button").last.click()
    until(lambda: photographs.row(last).instruction == "{image} by two", "what was asked for was not saved")


def test_five_thousand_pairs_stay_few_nodes_and_few_requests(open_page, comfy, many):
    requests: list[str] = []
    comfy_page = open_page(comfy)
    comfy_page.page.on("request", lambda request: requests.append(request.url))
    page = Page(comfy_page, many)
    nodes = lambda: page.page.evaluate("() => document.querySelectorAll('.ace-page *').length")  # noqa: E731
    first = nodes()
    assert len(page.cells()) < 60
    requests.clear()
    # From one end to the other in forty flicks, without a pause in which pictures would be wanted.
    page.page.evaluate(
        """async () => {
            const list = document.querySelector('.ace-scroll');
            for (let step = 1; step <= 40; step++) {
                list.scrollTop = (list.scrollHeight - list.clientHeight) * step / 40;
                await new Promise(requestAnimationFrame);
            }
        }"""
    )
    page.page.wait_for_function("() => document.querySelector('.ace-cell[data-pair=\"small-00000\"] .ace-there')")
    assert nodes() < 2 * first
    lists = [url for url in requests if "/list?" in url]
    small = [url for url in requests if "/thumbnail" in url]
    # On a machine so slow that each flick counts as a rest, each may ask once; all there is would be 84 lists.
    assert len(lists) <= 42 and len(small) <= COUNT // 10, (len(lists), len(small))
    page.comfy.screenshot("datasets-many")

    page.page.locator(".ace-search").fill("number 4711")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-cell').length === 1")
    assert page.cells() == ["small-04711"]
    assert page.errors() == []


def compared(page: Page) -> list[str]:
    """Addresses of the two results, once they can be chosen from."""
    page.page.wait_for_selector(".ace-compare:not(.ace-waiting)")
    return page.page.eval_on_selector_all(".ace-compare .ace-after", "images => images.map(image => image.src)")


def test_the_better_of_two_is_chosen_by_keys(open_page, comfy, photographs):
    """The choice is on disk before the next two are shown; two that were chosen wrongly come back."""
    page = Page(open_page(comfy), photographs)

    def chosen():
        return [one.better in (None, one.first) for one in comparisons(photographs)]

    page.grid.focus()
    page.press("c")
    first = compared(page)
    assert len(first) == 2 and first[0] != first[1]
    page.press("ArrowRight")
    until(lambda: chosen() == [False], "the right one")
    assert compared(page) != first
    page.press("Backspace")
    assert compared(page) == first
    page.press("ArrowLeft")
    until(lambda: chosen() == [True], "the left one after all")
    page.page.click(".ace-compare .ace-same")
    until(lambda: chosen() == [True, True], "no difference")
    compared(page)
    page.press("ArrowLeft")  # keys go on after a click
    until(lambda: chosen() == [True, True, True], "the left one by key")
    page.page.click(".ace-compare .ace-same")
    page.press("Escape")  # also before the next two are here
    page.page.wait_for_selector(".ace-compare", state="detached")
    assert page.errors() == []


def test_between_a_choice_and_the_next_two_nothing_can_be_chosen(open_page, comfy, photographs):
    """The server may take its time; that it is waited for can be seen. A failure leaves the two as they were."""
    page = Page(open_page(comfy), photographs)
    address, held = "**/ace/datasets/*/comparison", []
    waiting = ".ace-compare.ace-waiting"
    page.grid.focus()
    page.press("c")
    compared(page)
    choices = page.page.locator(".ace-compare .ace-choices button:enabled")
    assert choices.count() == 3
    ways = {"hold": lambda route: held.append((route, route.fetch())), "fail": lambda route: route.abort()}
    way = "hold"
    page.page.route(address, lambda route: ways[way](route))  # once: between two routes a request might pass
    page.page.click(".ace-compare .ace-left")
    page.page.wait_for_selector(waiting)
    page.comfy.screenshot("datasets-compare-waiting")
    page.press("ArrowRight")
    until(lambda: page.page.wait_for_timeout(50) or held, "the choice was not sent")
    assert len(list(comparisons(photographs))) == 1
    assert choices.count() == 0
    route, answer = held.pop()
    route.fulfill(response=answer)
    shown = compared(page)
    assert not held, "a key was taken while the choice before it was being written"

    way = "fail"
    page.press("ArrowRight")
    page.page.wait_for_selector(".ace-compare .ace-note.ace-bad")
    page.page.unroute(address)
    assert compared(page) == shown
    page.press("ArrowRight")
    until(lambda: len(list(comparisons(photographs))) == 2, "chosen after the failure")


def test_a_comparison_that_was_closed_takes_no_late_answer(open_page, comfy, photographs, root):
    """Closed while a choice is being written, and opened on another dataset: the answer is not about what is shown now."""
    other = make_photographs(root, f"{PHOTOGRAPHS} compared after others")
    page = Page(open_page(comfy), photographs)
    held = []

    def hold_the_first_choice(route):
        if route.request.method == "POST" and not held:
            held.append((route, route.fetch()))
        else:
            route.continue_()

    page.page.route("**/ace/datasets/*/comparison", hold_the_first_choice)
    page.grid.focus()
    page.press("c")
    compared(page)
    page.press("ArrowRight")
    until(lambda: page.page.wait_for_timeout(50) or held, "the choice was not sent")
    page.press("Escape")
    page.choose(other)
    page.grid.focus()
    page.press("c")
    shown = compared(page)
    route, answer = held[0]
    route.fulfill(response=answer)
    page.page.wait_for_timeout(500)
    assert compared(page) == shown
    page.press("ArrowRight")
    # What is routed goes on only while Playwright is at work.
    until(
        lambda: page.page.wait_for_timeout(50) or len(list(comparisons(other))) == 1,
        "the other dataset's pairs were not shown",
    )
    assert len(list(comparisons(photographs))) == 1 and page.errors() == []


def test_what_a_capture_adds_appears(open_page, comfy, photographs):
    page = Page(open_page(comfy), photographs)
    pair = photographs.load(next(photographs.rows()))
    added = photographs.append(
        type(pair)(source=pair.source, target=pair.source[::-1].copy(), instruction="{image} upside down")
    )
    page.page.wait_for_function("id => document.querySelector('.ace-cell').dataset.pair === id", arg=added.id)
    assert page.errors() == []


def test_the_page_speaks_chinese(open_page, comfy, photographs):
    page = Page(open_page(comfy, locale="zh-CN"), photographs)
    assert "已拒绝" in page.page.locator(".ace-tabs").inner_text()
    page.comfy.screenshot("datasets-chinese")
    page.grid.focus()
    page.press("2")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-rejected').length === 2")
    first = page.page.locator(".ace-rejected").first
    assert "尺寸相差" in first.get_attribute("title") and "；宽高比相差" in first.get_attribute("title").replace(
        "; ", "；"
    )
    page.press("End", "Enter")
    why = page.page.locator(".ace-viewer[open] .ace-reason + .ace-detail")
    why.wait_for()
    assert why.inner_text().startswith("结果与源图相同（平均差 0.00 级，至少需要 1")
    page.comfy.screenshot("datasets-rejected-chinese")
    assert page.errors() == []


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_all_of_it_can_be_read_in_the_hosts_colours(open_page, comfy, photographs, setting, palette):
    setting("Comfy.ColorPalette", palette)
    page = Page(open_page(comfy), photographs)
    page.grid.focus()
    page.press("Home", "s")
    page.page.wait_for_selector(".ace-held")
    page.press("Control+a")
    page.page.wait_for_function("() => document.querySelector('.ace-counts').innerText.includes('24')")
    page.comfy.screenshot(f"datasets-list-{palette}")
    weak = page.page.evaluate(WEAK_TEXTS, ".ace-page")
    page.press("Enter")
    page.page.wait_for_selector(".ace-viewer[open] .ace-facts")
    page.comfy.screenshot(f"datasets-viewer-{palette}")
    weak += page.page.evaluate(WEAK_TEXTS, ".ace-viewer")
    page.press("Escape", "2")
    page.page.wait_for_function("() => document.querySelectorAll('.ace-rejected').length === 2")
    page.comfy.screenshot(f"datasets-rejected-{palette}")
    assert weak + page.page.evaluate(WEAK_TEXTS, ".ace-page") == []


def test_the_servers_routes_know_no_strangers(comfy, photographs):
    row = next(photographs.rows())
    body = {"pairs": [{"id": row.id, "version": "0" * 64}]}
    stale = comfy.fetch(f"/ace/datasets/{photographs.name}/delete", "POST", json=body)
    assert stale.status == 409 and stale.json()["code"] == "stale"
    strange = comfy.fetch(
        f"/api/ace/datasets/{photographs.name}/delete", "POST", json=body, headers={"Origin": "http://evil.example"}
    )
    assert strange.status == 403, "the host refuses other origins"
    assert comfy.fetch("/ace/datasets/..%2F..%2Fmodels/list").status in (400, 404)
