"""Downloads over real HTTP from a server on loopback; nothing here touches the internet."""

import os
import socket

import pytest
from comfyui_ace.ace.bundles import transfer
from comfyui_ace.ace.bundles.bundle import PUBLISHED_MODELS
from comfyui_ace.ace.bundles.download import DownloadError, download, remote_files

from .hub_server import Hub, serve

NAME = "ACE-0.6B-512px"
DIT = "models/dit/ace_0.6b_512px.pth"
T5 = "models/text_encoder/t5-v1_1-xxl/model.safetensors"
FILES = {
    "README.md": b"---\nlicense: apache-2.0\n---\n",
    DIT: os.urandom(300_000),
    "models/vae/vae.bin": os.urandom(50_000),
    "models/text_encoder/t5-v1_1-xxl/config.json": b"{}",
    T5: os.urandom(200_000),
    "models/text_encoder/t5-v1_1-xxl/pytorch_model.bin": os.urandom(1000),
    "models/tokenizer/t5-v1_1-xxl/spiece.model": os.urandom(10_000),
    "models/tokenizer/t5-v1_1-xxl/special_tokens_map.json": b'{"additional_special_tokens": []}',
    "examples/picture.png": b"not wanted",
}
# Not the pictures, and not a second copy of the text encoder beside its safetensors.
WANTED = FILES.keys() - {"examples/picture.png", "models/text_encoder/t5-v1_1-xxl/pytorch_model.bin"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)
    monkeypatch.setattr(transfer, "CHUNK", 16_384)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def hub(monkeypatch):
    with serve(Hub(PUBLISHED_MODELS[NAME], dict(FILES))) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def quiet(done, total, path):
    pass


def test_a_whole_model(hub, tmp_path):
    reports = []
    bundle = download(NAME, tmp_path, progress=lambda *report: reports.append(report))
    assert bundle.folder == tmp_path / NAME
    assert bundle.dit == tmp_path / NAME / DIT
    assert contents(bundle.folder) == {path: FILES[path] for path in WANTED}
    total = sum(len(FILES[path]) for path in WANTED)
    assert {report[1] for report in reports} == {total}
    done = [report[0] for report in reports]
    assert done == sorted(done)
    assert done[-1] == total
    assert {report[2] for report in reports} == WANTED


def test_the_console_bar_counts_to_the_end(hub, tmp_path, capsys):
    download(NAME, tmp_path)
    assert "100%" in capsys.readouterr().err


def test_only_the_components_that_are_wanted(hub, tmp_path):
    bundle = download(NAME, tmp_path, components=("dit", "vae"), progress=quiet)
    assert bundle.text_encoder is None
    assert set(contents(bundle.folder)) == {"README.md", DIT, "models/vae/vae.bin"}


def test_a_broken_connection_is_continued(hub, tmp_path):
    hub.cut[DIT] = [100_000, 0, 50_000]
    download(NAME, tmp_path, progress=quiet)
    ranges = [requested for path, requested, _ in hub.requests if path == DIT]
    assert ranges == [None, "bytes=100000-", "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / NAME / DIT).read_bytes() == FILES[DIT]


class Cancelled(Exception):
    pass


def test_a_cancelled_download_is_continued_by_the_next_call(hub, tmp_path):
    def cancel(done, total, path):
        if path == DIT and done > 150_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        download(NAME, tmp_path, progress=cancel)
    assert not (tmp_path / NAME / DIT).exists()
    hub.requests.clear()
    reports = []
    download(NAME, tmp_path, progress=lambda *report: reports.append(report))
    (requested,) = [requested for path, requested, _ in hub.requests if path == DIT]
    start = int(requested.removeprefix("bytes=").rstrip("-"))
    assert 100_000 < start < 300_000
    assert reports[0][0] >= start
    assert contents(tmp_path / NAME) == {path: FILES[path] for path in WANTED}


def test_a_server_without_ranges_starts_again(hub, tmp_path):
    hub.cut[DIT] = [100_000]
    hub.ignore_range = True
    download(NAME, tmp_path, progress=quiet)
    assert (tmp_path / NAME / DIT).read_bytes() == FILES[DIT]


def test_a_connection_that_never_gets_further_is_given_up(hub, tmp_path):
    hub.cut[DIT] = [100_000] + [0] * 50
    with pytest.raises(DownloadError, match=r"broke off at 100000 of 300000 bytes.*What has arrived is kept"):
        download(NAME, tmp_path, progress=quiet)
    (part,) = (tmp_path / NAME / "models" / "dit").iterdir()
    assert part.read_bytes() == FILES[DIT][:100_000]


@pytest.mark.parametrize("path", [DIT, "models/tokenizer/t5-v1_1-xxl/special_tokens_map.json"], ids=["LFS", "git"])
def test_a_damaged_file_is_detected_and_not_kept(hub, tmp_path, path):
    damaged = bytearray(FILES[path])
    damaged[len(damaged) // 2] ^= 1
    hub.served[path] = bytes(damaged)
    with pytest.raises(DownloadError, match="arrived damaged"):
        download(NAME, tmp_path, progress=quiet)
    assert not (tmp_path / NAME / path).exists()
    assert not any(p.name.endswith(".part") for p in (tmp_path / NAME).rglob("*"))
    hub.served.clear()
    download(NAME, tmp_path, progress=quiet)
    assert (tmp_path / NAME / path).read_bytes() == FILES[path]


def test_what_is_there_and_right_is_not_fetched_again(hub, tmp_path):
    download(NAME, tmp_path, progress=quiet)
    hub.requests.clear()
    download(NAME, tmp_path, progress=quiet)
    assert hub.requests == []


def test_the_user_s_own_files_are_never_touched(hub, tmp_path):
    mine = tmp_path / NAME / DIT
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"my own weights")
    (mine.parent / "notes.txt").write_bytes(b"mine")
    (tmp_path / NAME / "README.md").write_bytes(b"my notes")
    with pytest.raises(DownloadError, match=r"exists, but is not the published file.*left alone"):
        download(NAME, tmp_path, progress=quiet)
    assert contents(tmp_path / NAME) == {
        DIT: b"my own weights",
        "models/dit/notes.txt": b"mine",
        "README.md": b"my notes",
    }
    assert hub.requests == []
    mine.unlink()
    download(NAME, tmp_path, progress=quiet)
    assert contents(tmp_path / NAME)["README.md"] == b"my notes"


def test_too_little_space_is_told_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(DownloadError, match=r"\d+ kB are needed in .*, but only 1 kB are free"):
        download(NAME, tmp_path, progress=quiet)
    assert hub.requests == []


def test_a_token_goes_to_the_hub_but_not_to_its_storage(hub, tmp_path):
    with serve(Hub("storage", hub.files)) as storage:
        hub.cdn = storage.url
        download(NAME, tmp_path, progress=quiet, token="hf_secret")
        assert {path for path, _, _ in storage.requests} == WANTED
        assert not any(authorized for _, _, authorized in storage.requests)
    hub.cdn = None
    download(NAME, tmp_path / "again", progress=quiet, token="hf_secret")
    assert all(authorized for _, _, authorized in hub.requests)


# Refusals: each says what to fetch by hand and where to put it


def by_hand(error, folder):
    text = str(error.value)
    return f"models/dit -> {folder}" in text or f"-> {folder / 'models' / 'dit'}" in text


@pytest.mark.parametrize("status", [401, 403])
def test_gated_files(hub, tmp_path, status):
    hub.status[DIT] = status
    with pytest.raises(DownloadError, match=r"without permission.*give a token") as error:
        download(NAME, tmp_path, progress=quiet)
    assert f"{hub.url}/{PUBLISHED_MODELS[NAME]}/resolve/" in str(error.value)
    assert f"-> {tmp_path / NAME / DIT}" in str(error.value)


def test_a_model_that_is_not_there(hub, tmp_path):
    with pytest.raises(DownloadError, match=r"no model scepter-studio/ACE-0\.6B-1024px") as error:
        download("ACE-0.6B-1024px", tmp_path)
    assert by_hand(error, tmp_path / "ACE-0.6B-1024px")
    assert list(tmp_path.iterdir()) == []


def test_offline(tmp_path, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(DownloadError, match="could not be downloaded") as error:
            download(NAME, tmp_path)
    text = str(error.value)
    assert f"https://huggingface.co/{PUBLISHED_MODELS[NAME]}/tree/main/models/dit\n    ace_0.6b_512px.pth -> " in text
    assert "vae.bin" in text
    assert "t5-v1_1-xxl/" in text
    assert list(tmp_path.iterdir()) == []


def test_wrong_names(tmp_path):
    with pytest.raises(DownloadError, match=r"no published model 'ACE'; choose from ACE-0\.6B-512px, ACE-0\.6B-1024px"):
        download("ACE", tmp_path)
    with pytest.raises(DownloadError, match=r"unknown components \['unet'\]"):
        download(NAME, tmp_path, components=("unet",))


def test_a_repository_with_another_layout(hub, tmp_path):
    hub.files = {"model.safetensors": b"x"}
    with pytest.raises(DownloadError, match="has no files in models/dit"):
        download(NAME, tmp_path)


@pytest.mark.parametrize("path", ["models/dit/../../../evil.pth", "models/dit/..\\evil.pth", "models/dit/C:evil.pth"])
def test_paths_that_lead_out_of_the_folder_are_refused(hub, tmp_path, path):
    hub.files = {**FILES, path: b"x"}
    with pytest.raises(DownloadError, match="outside its own folder"):
        download(NAME, tmp_path / "models")
    assert not (tmp_path / "evil.pth").exists()


def test_a_repository_of_one_s_own(hub, tmp_path):
    hub.repository = "someone/ACE-small"
    assert download("someone/ACE-small", tmp_path, progress=quiet).name == "ACE-small"


def test_remote_files_know_their_checksums(hub):
    files = {file.path: file for file in remote_files(PUBLISHED_MODELS[NAME])}
    assert files.keys() == WANTED
    assert files[DIT].sha256
    assert files[DIT].blob is None
    assert files["README.md"].sha256 is None
    assert len(files["README.md"].blob) == 40
