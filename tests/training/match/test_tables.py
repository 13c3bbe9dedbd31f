"""Tables in both forms, here and in a store that fsspec opens."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui_ace.training.match.disk.columns import Tables, texts
from comfyui_ace.training.match.disk.places import Place, is_address
from comfyui_ace.training.match.errors import MatchError

COLUMNS = {
    "path": texts(["a.jpg", "söme ✓.png", ""]),
    "key": np.array([-(2**63), 0, 2**63 - 1]),
    "feature": np.arange(12, dtype=np.float16).reshape(3, 4),
    "looks": np.arange(6, dtype=np.uint8).reshape(3, 2),
    "score": np.array([0.1, -1.0, 1e-9]),
}


@pytest.mark.parametrize("form", ["safetensors", "parquet", "memory"])
def test_a_table_is_read_as_it_was_written(tmp_path, form):
    if form != "safetensors":
        pytest.importorskip("pyarrow", reason="needs pyarrow")
    if form == "memory":
        pytest.importorskip("fsspec", reason="needs fsspec")
    place = Place.of(f"memory://{tmp_path.name}/tables" if form == "memory" else tmp_path / "tables")
    tables = Tables(place, parquet=form != "safetensors")
    assert tables.names() == set()
    tables.write("one", COLUMNS)
    tables.write("empty", {name: values[:0] for name, values in COLUMNS.items()})
    assert tables.names() == {"one", "empty"}
    for name, rows in (("one", slice(None)), ("empty", slice(0))):
        found = tables.read(name)
        assert found.keys() == COLUMNS.keys()
        for column, values in COLUMNS.items():
            assert found[column].dtype == values.dtype and found[column].shape == values[rows].shape
            assert (found[column] == values[rows]).all()
    some = tables.read("one", ("key", "path"))
    assert some.keys() == {"key", "path"} and (some["key"] == COLUMNS["key"]).all()
    place.clear()
    assert tables.names() == set()


def test_a_table_that_is_cut_off_says_what_to_do(tmp_path):
    tables = Tables(Place.of(tmp_path))
    tables.write("one", COLUMNS)
    file = tmp_path / "one.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(MatchError, match="Delete it, and the same command makes it again"):
        tables.read("one")
    with pytest.raises(ValueError, match="different lengths"):
        tables.write("two", {"a": np.zeros(2), "b": np.zeros(3)})


def test_a_table_behind_an_address_is_whole_or_not_there(tmp_path, monkeypatch):
    """A shared disk behind an address, whose files grow as they are written; the writer is killed in the middle."""
    pytest.importorskip("fsspec", reason="needs fsspec")
    from fsspec.implementations.local import LocalFileOpener

    place, write = Place.of(f"file://{tmp_path}/tables"), LocalFileOpener.write
    place.write("one.bin", b"old")

    def torn(self, data):
        write(self, data[:2])
        self.flush()
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalFileOpener, "write", torn, raising=False)
    for name in ("one.bin", "two.bin"):
        with pytest.raises(KeyboardInterrupt):
            place.write(name, b"a new one")
    assert place.names() == {"one.bin"} and place.read("one.bin") == b"old"
    monkeypatch.undo()
    place.write("one.bin", b"a new one")  # replaces it
    assert place.read("one.bin") == b"a new one" and [path.name for path in (tmp_path / "tables").iterdir()] == [
        "one.bin"
    ]


def test_a_server_that_does_not_replace_files_is_helped(tmp_path, monkeypatch):
    pytest.importorskip("fsspec", reason="needs fsspec")
    from fsspec.implementations.local import LocalFileSystem

    move = LocalFileSystem.mv

    def strict(self, one, other, **options):
        if self.exists(other):
            raise FileExistsError(other)
        move(self, one, other, **options)

    monkeypatch.setattr(LocalFileSystem, "mv", strict)
    place = Place.of(f"file://{tmp_path}/tables")
    for data in (b"old", b"new"):
        place.write("one.bin", data)
    assert place.read("one.bin") == b"new" and place.names() == {"one.bin"}


def test_a_drive_letter_is_no_address():
    assert is_address("s3://bucket/x") and is_address("memory://x") and is_address("simplecache::s3://x")
    assert not is_address("C:\\pictures") and not is_address("C:/pictures") and not is_address("/pictures")
