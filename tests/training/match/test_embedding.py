"""Files to features: damaged and odd ones, copies, readers that die, unchanged files of an earlier run."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from comfyui_ace.training.match.descriptors.layout import LayoutDescriptor
from comfyui_ace.training.match.descriptors.registry import make_descriptor
from comfyui_ace.training.match.disk.columns import Tables
from comfyui_ace.training.match.disk.pictures import expand, find_shards, folder_of, read_picture, short_name
from comfyui_ace.training.match.disk.places import Place
from comfyui_ace.training.match.embed.duplicates import alike_rows, bands, settle
from comfyui_ace.training.match.embed.readers import Readers
from comfyui_ace.training.match.embed.records import content_key, looks_of, read_record
from comfyui_ace.training.match.embed.shards import Memory, embed_shard
from comfyui_ace.training.match.errors import MatchError
from deadly_decoder import deadly
from picture_collections import encoded, photograph, variant
from PIL import Image, ImageFilter

LAYOUT = LayoutDescriptor()


def record(path: Path):
    return read_record(str(path), LAYOUT.prepare, LAYOUT.side)


def huge_png(path: Path, side: int) -> None:
    """A PNG that says how large it is and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_what_cannot_be_used_is_set_aside_with_the_reason(tmp_path):
    whole = encoded(photograph(0), quality=95)
    files = {
        "cut.jpg": whole[: len(whole) // 3],
        "noise.png": bytes(range(256)) * 9,
        "empty.webp": b"",
        "icon.png": encoded(Image.new("RGB", (8, 300), "red"), "PNG"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    huge_png(tmp_path / "bomb.png", 40_000)
    huge_png(tmp_path / "huge.png", 11_000)
    reasons = {path.name: record(path).reason for path in tmp_path.iterdir()}
    assert "damaged" in reasons["cut.jpg"]
    assert "is not a picture that can be read" in reasons["noise.png"]
    assert "is not a picture that can be read" in reasons["empty.webp"]
    assert "at least 16" in reasons["icon.png"]
    assert "Scale it down first" in reasons["bomb.png"]
    assert "121 megapixels" in reasons["huge.png"]
    assert "cannot be read: No such file" in record(tmp_path / "gone.jpg").reason


def test_odd_pictures_are_seen_as_what_they_show(tmp_path):
    picture = photograph(1, side=240)
    plain = record_of(tmp_path / "plain.png", encoded(picture, "PNG"))
    frames = [picture, photograph(2, side=240), photograph(3, side=240)]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    odd = {
        "cmyk.jpg": encoded(picture.convert("CMYK"), quality=95),
        "film.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "film.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=95),
        "sixteen.tif": encoded(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "TIFF"),
        "lying.jpg": encoded(picture.transpose(Image.Transpose.ROTATE_90), quality=95, exif=exif),
        "large.jpg": encoded(picture.resize((1600, 1600), Image.Resampling.BICUBIC), quality=90),
        "clear.png": encoded(with_alpha(picture), "PNG"),
    }
    for name, data in odd.items():
        found = record_of(tmp_path / name, data)
        assert not found.reason, name
        assert float(found.prepared @ plain.prepared) > (0.8 if name == "sixteen.tif" else 0.93), name
    assert (record(tmp_path / "large.jpg").height, record(tmp_path / "large.jpg").width) == (1600, 1600)


def record_of(path: Path, data: bytes):
    path.write_bytes(data)
    return record(path)


def with_alpha(picture: Image.Image) -> Image.Image:
    clear = picture.convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    return clear


def test_a_lying_picture_has_the_size_that_one_sees(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    (tmp_path / "a.jpg").write_bytes(encoded(photograph(1).resize((900, 500)), exif=exif))
    found = record(tmp_path / "a.jpg")
    assert (found.height, found.width) == (900, 500)


def columns_of(pictures: list[tuple[str, bytes]]) -> dict[str, np.ndarray]:
    rows = [(path, content_key(data), Image.open(io.BytesIO(data)).convert("RGB")) for path, data in pictures]
    looks = np.array([np.frombuffer(looks_of(np.asarray(image)), np.uint8) for *_, image in rows])
    columns = {
        "path": np.array([path for path, *_ in rows], dtype=object),
        "key": np.array([key for _, key, _ in rows]),
        "looks": looks,
        "pixels": np.array([image.width * image.height for *_, image in rows]),
        "bytes": np.array([len(data) for _, data in pictures]),
    }
    parts = [{"band": band, **columns} for band in bands(columns, True)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def gone(pictures: list[tuple[str, bytes]], nearly: bool = True) -> set[str]:
    columns = columns_of(pictures)
    worse, better, equal = alike_rows(columns, nearly)
    number = {path: row for row, (path, _) in enumerate(pictures)}
    nodes = np.array([number[path] for path in columns["path"]])
    found = settle(nodes[worse], nodes[better], equal, columns["path"][better])
    lost = {pictures[node][0] for node in found["node"].tolist()}
    assert not lost & set(found["of"])  # each for one that stays
    return lost


def test_copies_go_and_edits_stay():
    picture = photograph(0, seed=3, side=256)
    png = encoded(picture, "PNG")
    edited = np.array(picture)
    edited[60:100, 60:100] = (250, 20, 20)
    pictures = [
        ("b/one.png", png),
        ("a/one.png", png),
        ("one.jpg", encoded(picture, quality=80)),
        ("small.png", encoded(picture.resize((170, 170), Image.Resampling.LANCZOS), "PNG")),
        ("edit.png", encoded(Image.fromarray(edited), "PNG")),
        ("variant.png", encoded(variant(picture, 4), "PNG")),
        ("other.png", encoded(photograph(1, seed=3, side=256), "PNG")),
        ("soft.png", encoded(picture.filter(ImageFilter.GaussianBlur(2)), "PNG")),
        ("sharp.png", encoded(picture.filter(ImageFilter.UnsharpMask(2, 200)), "PNG")),
    ]
    for order in (pictures, pictures[::-1]):
        lost = gone(order)
        assert lost == {"b/one.png", "one.jpg", "small.png"}  # of equal pixels the JPEG goes
        assert gone(order, nearly=False) == {"b/one.png"}


def test_many_blank_pictures_are_one():
    blank = [(f"{number}.png", encoded(Image.new("RGB", (64 + number, 64), "gray"), "PNG")) for number in range(300)]
    assert len(gone(blank)) >= 295


def fading(count: int) -> list[tuple[str, bytes]]:
    """Frames of one shot, each a little lighter than the one before; two of them alike are at most three apart."""
    frames = np.asarray(photograph(0, seed=3, side=128)) // 2
    return [(f"{n:02d}.png", encoded(Image.fromarray(frames + np.uint8(2 * n)), "PNG")) for n in range(count)]


def test_of_a_slow_shot_as_many_frames_stay_as_differ():
    frames = fading(40)
    for order in (frames, frames[::-1]):
        stay = sorted({name for name, _ in order} - gone(order))
        assert 6 <= len(stay) <= 10
        places = [int(name[:2]) for name in stay]
        assert max(b - a for a, b in pairwise([-4, *places, 43])) <= 7  # all others are like one that stays
        assert min(b - a for a, b in pairwise(places)) > 3  # and those that stay are not alike


def test_shards_are_named_by_what_is_in_them(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(encoded(photograph(number), "PNG"))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.png").write_bytes(b"x")
    first = find_shards([str(tmp_path)], 2)
    assert [len(shard.entries) for shard in first] == [2, 2, 1]
    assert first == find_shards([str(tmp_path), str(tmp_path)], 2)
    os.utime(tmp_path / "0.png", (1, 1))
    second = find_shards([str(tmp_path)], 2)
    assert [a.name == b.name for a, b in zip(first, second, strict=True)] == [False, True, True]
    with pytest.raises(MatchError, match="no folder"):
        find_shards([str(tmp_path / "gone")], 2)
    (tmp_path / "void").mkdir()
    with pytest.raises(MatchError, match="no picture"):
        find_shards([str(tmp_path / "void")], 2)


def test_pictures_in_archives_are_read_in_place(tmp_path):
    data = [encoded(photograph(number), "PNG") for number in range(3)]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, part in enumerate(data):
            member = tarfile.TarInfo(f"inner/{number}.png")
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))
        archive.addfile(tarfile.TarInfo("inner/words.txt"), io.BytesIO())
    [shard] = find_shards([str(tmp_path)], 10)
    entries = expand(shard)
    assert [read_picture(entry.path) for entry in entries] == data
    assert {folder_of(entry.path) for entry in entries} == {f"{tmp_path}/a.tar/inner"}
    assert [short_name(entry.path) for entry in entries] == ["0.png", "1.png", "2.png"]
    (tmp_path / "b.tar").write_bytes(b"no archive at all, but long enough to look like one" * 40)
    whole = (tmp_path / "a.tar").read_bytes()
    second = int(entries[1].path.partition("#")[2].partition("+")[0])
    (tmp_path / "c.tar").write_bytes(whole[: second - 512] + b"x" * 4000)
    (tmp_path / "d.tar").write_bytes(whole[: second + 100])
    for shard, readable in zip(find_shards([str(tmp_path)], 10)[1:], (0, 1, 1), strict=True):
        broken = expand(shard)[-1]
        assert broken.path == shard.entries[0].path
        columns = embed_shard(shard, Readers(1), LAYOUT)
        assert columns["reason"][columns["path"] == broken.path][0].startswith("cannot be read as a tar archive")
        assert (columns["reason"] == "").sum() == readable


@pytest.mark.parametrize("address", [False, True])
def test_a_folder_that_one_may_not_open_is_set_aside(tmp_path, monkeypatch, address):
    if address:
        pytest.importorskip("fsspec", reason="needs fsspec")
    for name in ("a/1.png", "lost+found/2.png", "z/3.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encoded(photograph(1), "PNG"))
    scan = os.scandir

    def guarded(path):  # tests may run as somebody who may do everything
        if "lost+found" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    [shard] = find_shards([f"file://{tmp_path}" if address else str(tmp_path)], 10)
    columns = embed_shard(shard, Readers(1), LAYOUT)
    found = {
        path[path.index(tmp_path.name) :]: why for path, why in zip(columns["path"], columns["reason"], strict=True)
    }
    wanted = {"a/1.png": "", "lost+found": "cannot be opened: Permission denied", "z/3.png": ""}
    assert found == {f"{tmp_path.name}/{name}": why for name, why in wanted.items()}


def test_a_picture_that_kills_its_reader_is_set_aside_alone(tmp_path):
    paths = []
    for number in range(40):
        path = tmp_path / f"{number:02d}.png"
        shown = photograph(number, side=48) if number not in (3, 21) else Image.new("RGB", (48, 48), (255, 0, 0))
        path.write_bytes(encoded(shown, "PNG"))
        paths.append(str(path))
    with Readers(2) as readers:
        found = list(readers.read(paths, deadly, 48))
    assert [one.path for one in found] == paths
    assert [number for number, one in enumerate(found) if one.reason] == [3, 21]
    assert "ends the process" in found[3].reason


@pytest.mark.parametrize("processes", [False, True])
def test_readers_give_what_reading_one_by_one_gives(tmp_path, processes):
    paths = []
    for number in range(20):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(encoded(photograph(number, side=64)) if number != 7 else b"broken")
        paths.append(str(path))
    with Readers(1) as readers:
        alone = list(readers.read(paths, LAYOUT.prepare, LAYOUT.side))
    with Readers(2, processes=processes) as readers:
        together = list(readers.read(paths, LAYOUT.prepare, LAYOUT.side))
    for one, other in zip(alone, together, strict=True):
        assert (one.path, one.key, one.looks, one.reason) == (other.path, other.key, other.looks, other.reason)
        assert one.prepared is other.prepared or (one.prepared == other.prepared).all()


class Counting(LayoutDescriptor):
    """Says how many pictures it has described."""

    described = 0

    def describe(self, prepared):
        Counting.described += len(prepared)
        return super().describe(prepared)


def test_unchanged_files_are_not_embedded_again(tmp_path):
    pictures, tables = tmp_path / "p", Tables(Place.of(tmp_path / "t"))
    pictures.mkdir()
    for number in range(6):
        (pictures / f"{number}.png").write_bytes(encoded(photograph(number), "PNG"))
    (pictures / "bad.png").write_bytes(b"bad")
    descriptor, readers = Counting(), Readers(1)
    [first] = find_shards([str(pictures)], 100)
    tables.write(first.name, embed_shard(first, readers, descriptor))
    Counting.described = 0
    (pictures / "3.png").write_bytes(encoded(photograph(30), "PNG"))
    (pictures / "9.png").write_bytes(encoded(photograph(9), "PNG"))
    [second] = find_shards([str(pictures)], 100)
    again = embed_shard(second, readers, descriptor, Memory(tables, [first.name]))
    assert Counting.described == 2
    fresh = embed_shard(second, readers, descriptor)
    assert all((again[name] == fresh[name]).all() for name in fresh)
    assert [Path(path).name for path in again["path"]] == [*(f"{n}.png" for n in (0, 1, 2, 3, 4, 5, 9)), "bad.png"]


def test_a_descriptor_that_is_not_there_is_explained():
    with pytest.raises(MatchError, match=r"no descriptor 'nowhere'.*layout \(built in"):
        make_descriptor("nowhere")
    with pytest.raises(MatchError, match=r"DETECTOR\.onnx,RECOGNISER\.onnx"):
        make_descriptor("faces:one.onnx")


def test_the_runs_own_folders_are_passed_over(tmp_path):
    """A collection may hold the folders of runs and datasets, and may itself lie in one."""
    for place in ("a.png", "run/b.png", "run2/c.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        photograph(0).save(tmp_path / place)

    def names(*exclude: str) -> list[str]:
        [shard] = find_shards([str(tmp_path)], 9, exclude)
        return [short_name(entry.path) for entry in shard.entries]

    assert names(str(tmp_path / "run")) == ["a.png", "c.png"]
    assert names(str(tmp_path / "run"), f"{tmp_path}/run2/") == ["a.png"]
    assert names(str(tmp_path), str(tmp_path.parent), str(tmp_path / "none")) == ["a.png", "b.png", "c.png"]
    there = f"file://{tmp_path}"
    [shard] = find_shards([there], 9, [f"{there}/run", str(tmp_path / "run2")])
    assert [short_name(entry.path) for entry in shard.entries] == ["a.png", "c.png"]
