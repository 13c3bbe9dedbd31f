"""The pages of a run that looked for pairs: bad sets are struck out in a browser, and do not reach the dataset."""

import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.match.engines.local import LocalEngine
from comfyui_ace.training.match.report.choices import find_choices
from comfyui_ace.training.match.run import emit, find_sets, report
from comfyui_ace.training.match.steps.emitting import DatasetPlace
from picture_collections import sets_by_name, settings, silent, write_groups


@pytest.fixture
def page(browser):
    context = browser.new_context(accept_downloads=True)
    yield context.new_page()
    context.close()


def test_sets_and_pictures_are_struck_out_and_saved(page, tmp_path):
    write_groups(tmp_path / "p", [4, 3, 5])
    (tmp_path / "p" / "<b>broken.jpg").write_bytes(b"\xff\xd8 and then nothing")
    chosen, engine = settings(tmp_path / "p", tmp_path / "run"), LocalEngine(workers=1)
    found = find_sets(chosen, engine, silent)
    assert [len(members) for members in sets_by_name(found.sets).values()] == [4, 3, 5]
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(report(found, chosen, silent).as_uri())
    assert page.locator("li", has_text="<b>broken.jpg").count() == 1
    here = page.url
    page.get_by_role("link", name="Sets").click()
    # And until it is loaded: a click before its script runs would do nothing.
    page.wait_for_url(lambda url: url != here)
    assert page.locator(".set").count() == 3
    assert all(page.locator(".picture img").evaluate_all("pictures => pictures.map(one => one.naturalWidth > 0)"))
    beside = page.context.new_page()
    beside.goto(page.url)
    page.locator(".set", has_text="g000-").get_by_role("button", name="Strike out", exact=True).click()
    for number, pressed in ((1, True), (2, True), (2, False)):  # the second is kept after all
        picture = page.locator(".picture", has_text=f"g002-{number}.jpg")
        picture.click()
        assert picture.get_attribute("aria-pressed") == str(pressed).lower()
    assert page.locator("#count").inner_text() == "1 set and 1 picture struck out"
    # A page that is open beside it follows, and a choice there takes none back.
    beside.wait_for_function("() => document.getElementById('count').innerText === '1 set and 1 picture struck out'")
    for _ in range(2):
        beside.locator(".picture", has_text="g001-0.jpg").click()
    beside.close()
    page.reload()  # choices outlive it
    assert page.locator("#count").inner_text() == "1 set and 1 picture struck out"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save choices").click()
    download.value.save_as(tmp_path / "run" / download.value.suggested_filename)
    choices = find_choices(chosen.output, found.digest)
    emit(found, chosen, engine, DatasetPlace(str(tmp_path / "ds"), "pairs"), silent, choices)
    used = {row.origin[side] for row in Dataset(tmp_path / "ds" / "pairs").rows() for side in ("sources", "target")}
    assert used == {f"g001-{number}.jpg" for number in range(3)} | {f"g002-{number}.jpg" for number in (0, 2, 3, 4)}
    assert not errors
