"""What holds for all tests, and the ComfyUI in which those that need one are run."""

from __future__ import annotations

import gc

import pytest
from host.harness.hosts import HostNotFoundError, find_hosts
from hypothesis import settings

# A slow machine must not make a test fail: examples have no time limit of their own, pytest's holds for the whole test.
settings.register_profile("ace", deadline=None)
settings.load_profile("ace")


@pytest.fixture(scope="module", autouse=True)
def libraries_are_no_garbage():
    """What libraries keep for good is not gone through at each collection, of which every training run makes two."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return _host_line()


def pytest_terminal_summary(terminalreporter, config):
    """A quiet run has no header."""
    if config.get_verbosity() < 0:
        terminalreporter.write_line(_host_line())


def _host_line() -> str:
    try:
        host, *others = find_hosts()
    except HostNotFoundError as error:
        return f"ComfyUI: {error}"
    also = f" (also here: {', '.join(map(str, others))}; `make test-hosts` runs in all)" if others else ""
    return f"ComfyUI: {host}{also}"
