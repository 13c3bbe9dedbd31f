"""Fixtures for tests in a real ComfyUI. Without one, everything here is skipped with a word on how to get it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from host.harness.browser import BrowserNotFoundError, ComfyPage, launch_chromium
from host.harness.comfy_server import PACK_ROOT, ComfyServer, HostNotFoundError, find_host

HERE = Path(__file__).resolve().parent
collect_ignore = ["model/inside"]  # run by the host's Python: see model/test_inside.py
PROBE_PACK = HERE / "harness" / "probe_pack"
FLUX_PACK = HERE / "harness" / "flux_pack"
NOVRAM_PACK = HERE / "harness" / "novram_pack"
_LOG_MARKS = pytest.StashKey[dict]()
_OPENED = pytest.StashKey[list]()
_FAILED = pytest.StashKey[bool]()


def pytest_configure():
    """A shell that runs the tests in the background lets them ignore Ctrl+C, and servers started here would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    here = [item for item in items if HERE in item.path.parents]
    if not here:
        return
    try:
        find_host()
        absent = None
    except HostNotFoundError as error:
        if os.environ.get("COMFYUI_DIR"):  # asked for by name: a typo must not pass for "no host here"
            raise pytest.UsageError(str(error)) from error
        absent = pytest.mark.skip(reason=str(error))
    for item in here:
        item.add_marker(pytest.mark.host)
        if absent is not None:
            item.add_marker(absent)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Show what the host printed during a test that failed, and what stood on its pages."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    if report.when == "call" and report.failed:
        given = getattr(item, "funcargs", {})
        for name, value in given.items():
            if isinstance(value, ComfyServer):
                since = item.stash.get(_LOG_MARKS, {}).get(name, 0)
                report.sections.append((f"ComfyUI log ({name})", value.log_text(since)[-8000:]))
        opened = [*item.stash.get(_OPENED, []), *(value for value in given.values() if isinstance(value, ComfyPage))]
        for number, page in enumerate(dict.fromkeys(opened)):
            try:
                told = f"screenshot: {page.screenshot(f'failed-{item.name}-{number}')}\n{page.told()}"
            except Exception as error:  # its page or server is gone; the failure itself must still be reported
                told = f"could not be asked: {error}"
            report.sections.append((f"page {number}", told))
    return report


def pytest_runtest_call(item):
    servers = {name: value for name, value in item.funcargs.items() if isinstance(value, ComfyServer)}
    item.stash[_LOG_MARKS] = {name: server.log_mark() for name, server in servers.items() if server.running}


@pytest.fixture(scope="session")
def comfy():
    """The server that most tests share: the pack as "ace-edit", and the harness's own packs.

    The host keeps text encoders in fp16 of its own accord. In float32 its latents equal those made without a host to
    six digits instead of three.
    """
    with ComfyServer(
        "--fp32-text-enc", packs={"ace-edit": PACK_ROOT, "probe": PROBE_PACK, "flux": FLUX_PACK}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def start_comfy():
    """Start a server of one's own: ``start_comfy("--cache-none", packs={...}, env={...})``; ended with the module.

    A start costs ten seconds and more; stop a server early with ``with start_comfy(...) as server:``.
    """
    servers = []

    def start(*args, **kwargs) -> ComfyServer:
        server = ComfyServer(*args, **kwargs)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def start_novram(start_comfy):
    """``start_comfy`` for a server that keeps models off the device: --novram, or on the CPU what it amounts to."""

    def start(*args, packs=None, **kwargs) -> ComfyServer:
        packs = {"ace-edit": PACK_ROOT} if packs is None else packs
        if _host_has_gpu():
            return start_comfy("--novram", *args, packs=packs, **kwargs)
        return start_comfy(*args, packs={**packs, "novram": NOVRAM_PACK}, **kwargs)

    return start


def _host_has_gpu() -> bool:
    check = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([find_host().python, "-c", check]).returncode == 0


@pytest.fixture(scope="session")
def ace_models(comfy):
    """Put a folder of model files under models/ace of the shared server, which gives their names."""
    return comfy.add_models


@pytest.fixture(scope="session")
def bundle(comfy, tmp_path_factory):
    """A small bundle with random weights, in the shared server's models/ace under the name edits.BUNDLE."""
    from host.harness.edits import BUNDLE
    from host.harness.models.sensitive_bundle import make_sensitive_bundle  # imports what a run without a host need not

    made = make_sensitive_bundle(tmp_path_factory.mktemp("bundle") / BUNDLE)
    comfy.add_model(made.folder)
    return made


@pytest.fixture(scope="session")
def pipeline(bundle):
    """The same bundle without a host, on one thread as in the server: more would only wait for each other."""
    import torch
    from comfyui_ace.ace.pipeline import ACEPipeline

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield ACEPipeline.load(bundle)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def photo(comfy):
    """The input file that LoadImage takes for ``edits.photo()``."""
    from host.harness.edits import photo

    return comfy.upload_image(photo(), "photo.png")


@pytest.fixture(scope="session")
def browser():
    """Chromium, started once; skips when it or Playwright is missing."""
    try:
        with launch_chromium() as chromium:
            yield chromium
    except BrowserNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def open_page(request, browser):
    """Open the front end of any server: ``open_page(server, locale="de", nodes_2=True)``; closed with the test."""
    pages = []

    def open_(server, **kwargs) -> ComfyPage:
        pages.append(ComfyPage(browser, server, **kwargs))
        _note_opened(request.node, pages[-1])
        return pages[-1]

    yield open_
    for page in pages:
        page.close()


def _note_opened(item, page: ComfyPage) -> None:
    """For the report, should the test fail."""
    item.stash.setdefault(_OPENED, []).append(page)


class _KeptPage:
    """The page that tests of a file hand on to each other, one at a time: pages that nobody looks at are still drawn."""

    def __init__(self, browser):
        self._browser = browser
        self._key, self._page = None, None

    def open(self, server, **kwargs) -> ComfyPage:
        """The one that is there, made new, or another if it is of another server or kind."""
        key = server.url, kwargs
        if self._page is not None and key == self._key:
            self._page.renew()
        else:
            self.close()
            self._key, self._page = key, ComfyPage(self._browser, server, **kwargs)
        return self._page

    def close(self) -> None:
        if self._page is not None:
            self._page.close()
            self._page = None


@pytest.fixture(scope="module")
def _kept_page(browser):
    kept = _KeptPage(browser)
    yield kept
    kept.close()


@pytest.fixture
def reuse_page(request, _kept_page):
    """As ``open_page``, for tests that neither mind nor change more than the open graph: opening a page takes seconds.

    Not for tests that make nodes by hand: front end 1.49 may give these the values of an earlier node of their number. The
    page of the test before is made new and used again, unless that test has failed.
    """

    def open_(server, **kwargs) -> ComfyPage:
        page = _kept_page.open(server, **kwargs)
        _note_opened(request.node, page)
        return page

    yield open_
    if request.node.stash.get(_FAILED, False):
        _kept_page.close()


@pytest.fixture(params=[False, True], ids=["canvas", "nodes 2.0"], scope="module")
def nodes_2(request) -> bool:
    """Both ways in which the front end draws nodes, one after the other: ``open_page(server, nodes_2=nodes_2)``."""
    return request.param


@pytest.fixture
def browser_page(reuse_page, comfy):
    """The front end of the shared server with a blank graph; see ``reuse_page``."""
    return reuse_page(comfy)


# What the front end has where a user has set nothing; a page does not open with a setting that is null.
SETTINGS = {"Comfy.ColorPalette": "dark", "Comfy.VueNodes.Enabled": False}


@pytest.fixture
def setting(comfy):
    """Changes settings of the front end for the pages that are opened next: ``setting(key, value)``."""
    before = {}

    def change(key, value):
        found = comfy.fetch("/api/settings").json().get(key)
        before.setdefault(key, SETTINGS[key] if found is None else found)
        comfy.fetch("/api/settings", "POST", json={key: value})

    yield change
    comfy.fetch("/api/settings", "POST", json=before)
