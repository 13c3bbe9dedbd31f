"""Fixtures for the tests of the pair store."""

import os

import pytest


@pytest.fixture
def no_sync(monkeypatch):
    """Writes without waiting for the disk: a test that does not pull the plug need not pay for durability."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
