"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from comfyui_ace.ace import files
from comfyui_ace.ace.files import FileError, atomic_write, remove_folder, rename, replace_file


def test_what_goes_wrong_is_said_of_the_file_and_not_of_the_temporary_one(tmp_path):
    target = tmp_path / "result.png"
    target.mkdir()
    with pytest.raises(FileError) as refused, atomic_write(target) as temporary:
        temporary.write_bytes(b"x")
    assert str(refused.value).startswith(f"{target}: ") and ".tmp" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EFBIG, 9999])
def test_errors_of_the_system_are_sentences(tmp_path, code):
    with pytest.raises(FileError) as caught, atomic_write(tmp_path / "a.png"):
        raise OSError(code, os.strerror(code))
    text = str(caught.value)
    assert "a.png" in text and "Errno" not in text and caught.value.errno == code
    assert code != errno.ENOSPC or "make room" in text
    assert not list(tmp_path.iterdir())


def _windows_error(number: int, code: int, path: str | None = None) -> OSError:
    """As Windows raises them: with a number of its own beside the one of C."""
    error = PermissionError(code, "held", path) if code == errno.EACCES else OSError(code, "held", path)
    error.winerror = number
    return error


@pytest.fixture
def windows(monkeypatch):
    """Windows as far as waiting and advice go."""
    waits = []
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files.time, "sleep", waits.append)
    return waits


_ACTIONS = {
    "replace": (os, replace_file),
    "rename": (os, rename),
    "rmtree": (shutil, lambda source, _target: remove_folder(source)),
}


@pytest.mark.parametrize("name", _ACTIONS)
@pytest.mark.parametrize("number, code", [(5, errno.EACCES), (32, errno.EACCES), (1224, errno.EINVAL)])
def test_what_another_program_holds_for_a_moment_is_waited_for(tmp_path, monkeypatch, windows, name, number, code):
    """Windows moves nothing that is open, and no folder with such a file in it; a virus scanner opens each new one."""
    module, action = _ACTIONS[name]
    attempts, real = [], getattr(module, name)

    def refuse_twice(*arguments):
        attempts.append(arguments)
        if len(attempts) < 3:
            raise _windows_error(number, code)
        real(*arguments)

    monkeypatch.setattr(module, name, refuse_twice)
    (tmp_path / "new").mkdir()
    action(tmp_path / "new", tmp_path / "old")
    assert len(attempts) == 3 and len(windows) == 2 and not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", _ACTIONS)
def test_what_stays_held_is_an_error(tmp_path, monkeypatch, windows, name):
    module, action = _ACTIONS[name]

    def refuse(*_arguments):
        raise _windows_error(32, errno.EACCES)

    monkeypatch.setattr(module, name, refuse)
    (tmp_path / "new").mkdir()
    with pytest.raises(PermissionError):
        action(tmp_path / "new", tmp_path / "old")
    assert 1 < sum(windows) < 3, "seconds"
    monkeypatch.setattr(files, "WINDOWS", False)
    windows.clear()
    with pytest.raises(PermissionError):
        action(tmp_path / "new", tmp_path / "old")
    assert not windows, "elsewhere there is nothing to wait for"


def test_nothing_waits_for_what_will_not_pass(tmp_path, monkeypatch, windows):
    with pytest.raises(FileNotFoundError):
        rename(tmp_path / "absent", tmp_path / "b")
    assert not windows


def test_a_file_that_is_mapped_into_memory_is_explained(tmp_path, monkeypatch, windows):
    """ComfyUI keeps the LoRA of an earlier run mapped while it is loaded; Windows then lets nobody replace it."""
    target = tmp_path / "look.safetensors"
    target.write_bytes(b"old")

    def refuse(*_arguments):
        raise _windows_error(1224, errno.EINVAL)

    monkeypatch.setattr(os, "replace", refuse)
    with (
        pytest.raises(FileError, match="Another program has the file open") as refused,
        atomic_write(target) as temporary,
    ):
        temporary.write_bytes(b"new")
    assert str(refused.value).startswith(f"{target}: ") and "ComfyUI keeps" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["look.safetensors"] and target.read_bytes() == b"old"


def test_a_path_too_long_for_windows_is_explained(windows):
    """Windows says of it that it is not there."""
    path = os.path.abspath("d/" * 120 + "target.png")
    error = FileError(FileNotFoundError(errno.ENOENT, "No such file", path))
    assert f"The path has {len(path)} characters, and Windows takes 259" in str(error)
    assert "Check the name" in str(FileError(FileNotFoundError(errno.ENOENT, "No such file", "target.png")))


def test_a_temporary_file_that_is_held_does_not_hide_what_went_wrong(tmp_path, monkeypatch):
    def held(path, missing_ok=False):
        raise PermissionError(errno.EACCES, "held")

    monkeypatch.setattr(files.Path, "unlink", held)
    with pytest.raises(ValueError, match="the reason"), atomic_write(tmp_path / "a"):
        raise ValueError("the reason")


def test_a_file_in_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "results").write_bytes(b"")
    target = tmp_path / "results" / "a.png"
    with pytest.raises(FileError, match="A file is where a folder should be") as refused, atomic_write(target):
        pass
    assert str(refused.value).startswith(f"{tmp_path / 'results'}: ")
