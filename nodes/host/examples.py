"""The pack's own photographs and drawings, copied into ComfyUI's input folder as soon as a graph names them.

So a workflow that comes with the pack runs on a fresh install, with the nodes that an artist loads pictures with anyway, and
the input folder of whoever opens none stays as it is. All names begin with :data:`PREFIX`::

    ACE Edit cat.jpg           a photograph
    ACE Edit house.png         a drawing
    ACE Edit cat masked.png    the same, its subject marked as the host's mask editor does it
    ACE Edit photos            a folder with all of them
    ACE Edit masks             their masks, under the same names
    ACE Edit second pictures   another photograph for each, under its name
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import folder_paths

from ...ace.files import atomic_write, rename

PREFIX = "ACE Edit "
ROUTE = "/ace/examples"
_SHIPPED = Path(__file__).resolve().parents[2] / "pictures"
_PHOTOS, _MASKS, _DRAWINGS = (_SHIPPED / folder for folder in ("photos", "masks", "drawings"))
_MASKED = " masked.png"


def folder_names() -> list[str]:
    """Folders of several pictures, which :func:`provide` knows."""
    return list(_FOLDERS)


def mentioned(value: Any) -> Iterator[str]:
    """Whatever could be the name of an example in a prompt, a workflow or a part of one."""
    if isinstance(value, str):
        if value.startswith(PREFIX):
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from mentioned(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from mentioned(part)


def provide(names: Iterable[str]) -> list[str]:
    """Copies examples into the input folder. What lies there already stays as it is; other names are passed over.

    Returns:
        The names of what was copied.

    Raises:
        OSError: a file cannot be written.
    """
    root = Path(folder_paths.get_input_directory())
    return [name for name in dict.fromkeys(names) if not (root / name).exists() and _make(name, root)]


def _make(name: str, root: Path) -> bool:
    if fill := _FOLDERS.get(name):
        _make_folder(root / name, fill)
        return True
    plain = name.removeprefix(PREFIX)
    shipped = {file.name: file for file in (*_PHOTOS.glob("*.jpg"), *_DRAWINGS.glob("*.png"))}
    masked = f"{plain.removesuffix(_MASKED)}.jpg"
    if plain in shipped:
        with atomic_write(root / name) as temporary:
            shutil.copyfile(shipped[plain], temporary)
    elif plain.endswith(_MASKED) and masked in shipped:
        with atomic_write(root / name) as temporary:
            _write_masked(masked.removesuffix(".jpg"), temporary)
    else:
        return False
    return True


def _make_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ace-") as temporary:
        made = Path(temporary, folder.name)
        made.mkdir()
        fill(made)
        try:
            rename(made, folder)
        except OSError:
            if not folder.is_dir():  # else another prompt was faster
                raise


def _copy_photos(folder: Path) -> None:
    for file in _PHOTOS.glob("*.jpg"):
        shutil.copyfile(file, folder / file.name)


def _copy_masks(folder: Path) -> None:
    for file in _MASKS.glob("*.png"):
        shutil.copyfile(file, folder / file.name)


def _copy_second_pictures(folder: Path) -> None:
    files = sorted(_PHOTOS.glob("*.jpg"))
    half = len(files) // 2  # neighbours may be parts of one photograph
    for file, other in zip(files, files[half:] + files[:half], strict=True):
        shutil.copyfile(other, folder / file.name)


_FOLDERS: Mapping[str, Callable[[Path], None]] = {
    f"{PREFIX}photos": _copy_photos,
    f"{PREFIX}masks": _copy_masks,
    f"{PREFIX}second pictures": _copy_second_pictures,
}


def _write_masked(stem: str, path: Path) -> None:
    """As RGBA: Load Image takes as mask what is transparent."""
    from PIL import Image, ImageChops

    with Image.open(_PHOTOS / f"{stem}.jpg") as photo, Image.open(_MASKS / f"{stem}.png") as mask:
        marked = photo.convert("RGBA")
        marked.putalpha(ImageChops.invert(mask.convert("L")))
    marked.save(path, format="PNG")


def register() -> None:
    """Opens POST /ace/examples, which takes a list of names, copies them and answers which were copied (web/examples.js)."""
    import asyncio

    from aiohttp import web
    from server import PromptServer

    if any(getattr(route, "path", "") == ROUTE for route in PromptServer.instance.routes):
        return  # the pack is installed twice, and the server would not start with two routes of one name

    @PromptServer.instance.routes.post(ROUTE)
    async def examples(request: web.Request) -> web.Response:
        names = list(mentioned(await request.json()))
        try:
            copied = await asyncio.to_thread(provide, names)
        except OSError as error:
            return web.json_response({"error": f"the examples cannot be copied: {error}"}, status=500)
        return web.json_response({"copied": copied})
