"""Downloads a published ACE model from Hugging Face; only ever on explicit request."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..files import checksum, format_size, rename, require_free_space
from .bundle import COMPONENTS, PUBLISHED_MODELS, Bundle, find_bundle, manual_download_instructions
from .transfer import HttpStatusError, fetch

__all__ = ["PUBLISHED_MODELS", "DownloadError", "RemoteFile", "download", "remote_files"]

Progress = Callable[[int, int, str], None]  # bytes that are there, bytes in all, the file at work

_MODEL_CARD = ("README.md", "LICENSE")  # small, and they say what one may do with the weights


class DownloadError(RuntimeError):
    """A model could not be downloaded; the message lists the files, their addresses and where to put them."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository.

    Attributes:
        path: in the repository, with forward slashes.
        url: of its content at one revision.
        size: bytes.
        sha256: of its content, for large files; None for small ones.
        blob: git's hash of a small file.
    """

    path: str
    url: str
    size: int
    sha256: str | None
    blob: str | None

    def matches(self, local: Path) -> bool:
        """Whether a local file has this very content."""
        if local.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return checksum(local) == self.sha256
        return self.blob is None or checksum(local, "sha1", b"blob %d\0" % self.size) == self.blob


def download(
    name: str,
    destination: str | Path,
    *,
    progress: Progress | None = None,
    token: str | None = None,
    components: Collection[str] = COMPONENTS,
) -> Bundle:
    """Downloads a model to ``destination/name`` and checks every byte of it.

    Files that are there and right are kept; a partial file of an interrupted download is continued. Nothing that lies
    in the folder is ever overwritten or deleted.

    Args:
        name: a key of ``PUBLISHED_MODELS``, or a Hugging Face repository "owner/name" with the same layout.
        destination: the folder for all models.
        progress: called with (bytes that are there, bytes in all, file name); may raise to cancel. A bar is shown on
            the console where it is None.
        token: of Hugging Face; by default that of its own login, if there is one.
        components: the parts wanted; leave "text_encoder" out if a T5 XXL encoder is at hand (it is the largest part).

    Raises:
        DownloadError: offline, refused, no space, a file in the way, or a file that arrived damaged.
    """
    repository = PUBLISHED_MODELS.get(name, name)
    if "/" not in repository:
        raise DownloadError(f"there is no published model {name!r}; choose from {', '.join(PUBLISHED_MODELS)}")
    if unknown := set(components) - set(COMPONENTS):
        raise DownloadError(f"unknown components {sorted(unknown)}; choose from {', '.join(COMPONENTS)}")
    folder = Path(destination) / repository.rpartition("/")[2]
    try:
        files = remote_files(repository, components, token=token)
    except DownloadError as error:
        raise DownloadError(
            f"{error}\nBy hand:\n{manual_download_instructions(repository, folder, components)}"
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = _still_missing(files, folder)
        _require_free_space(missing, folder)
        with _reporter(progress) as report:
            _fetch_all(files, missing, folder, _headers(token), report)
    except (DownloadError, OSError) as error:
        raise DownloadError(f"{_reason(repository, error)}\nBy hand:\n{_by_hand(files, folder)}") from error
    return find_bundle(folder, require=components)


def remote_files(
    repository: str, components: Collection[str] = COMPONENTS, *, token: str | None = None
) -> list[RemoteFile]:
    """Asks Hugging Face (or ``HF_ENDPOINT``) which files make up the components of a model.

    Args:
        repository: "owner/name".
        components: the parts wanted, of ``COMPONENTS``.
        token: of Hugging Face; by default that of its own login, if there is one.

    Raises:
        DownloadError: offline, no such repository, or it lacks a component.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_url
    except ImportError:
        raise DownloadError("downloading needs the package huggingface_hub: pip install huggingface_hub") from None

    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        info = HfApi(endpoint=endpoint, token=token).model_info(repository, files_metadata=True)
    except Exception as error:  # the library's own, and those of whichever HTTP library its version uses
        raise DownloadError(_reason(repository, error)) from error
    known = {sibling.rfilename: sibling for sibling in info.siblings or () if sibling.size is not None}
    paths = _select(list(known), components)
    for part in components:
        if not any(path.startswith(f"models/{part}/") for path in paths):
            raise DownloadError(
                f"{repository} has no files in models/{part}; it is not laid out like a published model"
            )
    return [
        RemoteFile(
            path=path,
            url=hf_hub_url(repository, path, revision=info.sha, endpoint=endpoint),
            size=known[path].size,
            sha256=known[path].lfs.sha256 if known[path].lfs else None,
            blob=None if known[path].lfs else known[path].blob_id,
        )
        for path in paths
    ]


def _select(paths: Sequence[str], components: Collection[str]) -> list[str]:
    """The files of the components; where a folder has safetensors, no second copy of the weights beside them."""
    wanted = [path for path in paths if path in _MODEL_CARD]
    for part in COMPONENTS:
        own = [path for path in paths if part in components and path.startswith(f"models/{part}/")]
        safe = {str(PurePosixPath(path).parent) for path in own if path.endswith(".safetensors")}
        doubles = (".bin", ".pth", ".pt", ".h5", ".msgpack", ".bin.index.json")
        wanted += [p for p in own if not (str(PurePosixPath(p).parent) in safe and p.endswith(doubles))]
    for path in wanted:
        if ".." in PurePosixPath(path).parts or any(character in path for character in "\\:"):
            raise DownloadError(f"the repository names a file outside its own folder: {path!r}; nothing was downloaded")
    return wanted


def _still_missing(files: Sequence[RemoteFile], folder: Path) -> list[RemoteFile]:
    missing = []
    for file in files:
        local = folder / file.path
        if not local.exists():
            missing.append(file)
        elif file.path not in _MODEL_CARD and not file.matches(local):
            raise DownloadError(
                f"{local} exists, but is not the published file ({local.stat().st_size} of {file.size} bytes, or other "
                "content). It was left alone: move it away or rename it, and start again"
            )
    return missing


def _require_free_space(missing: Sequence[RemoteFile], folder: Path) -> None:
    there = sum(part.stat().st_size for file in missing if (part := _part(file, folder)).exists())
    require_free_space(folder, sum(file.size for file in missing) - there)


def _part(file: RemoteFile, folder: Path) -> Path:
    """The partial file; the content's hash in its name keeps versions apart."""
    local = folder / file.path
    version = (file.sha256 or file.blob or str(file.size))[:12]
    return local.with_name(f".{local.name}.{version}.part")


def _fetch_all(
    files: Sequence[RemoteFile], missing: Sequence[RemoteFile], folder: Path, headers: dict[str, str], report: Progress
) -> None:
    total = sum(file.size for file in files)
    there = total - sum(file.size for file in missing)
    for file in missing:
        local, part = folder / file.path, _part(file, folder)
        local.parent.mkdir(parents=True, exist_ok=True)

        def report_file(done: int, before: int = there, path: str = file.path) -> None:
            report(before + done, total, path)

        fetch(file.url, part, file.size, headers=headers, report=report_file)
        if not file.matches(part):
            part.unlink()
            raise DownloadError(
                f"{file.path} arrived damaged: its checksum is not the published one. The damaged file was removed; "
                "start again, and if it happens again, check the connection (a proxy may change files)"
            )
        rename(part, local)
        there += file.size


def _headers(token: str | None) -> dict[str, str]:
    from huggingface_hub.utils import build_hf_headers

    return build_hf_headers(token=token, library_name="ace-edit")


@contextlib.contextmanager
def _reporter(progress: Progress | None) -> Iterator[Progress]:
    if progress is not None:
        yield progress
        return
    from tqdm.auto import tqdm

    with tqdm(unit="B", unit_scale=True, unit_divisor=1000) as bar:

        def show(done: int, total: int, path: str) -> None:
            bar.total = total
            bar.set_description(PurePosixPath(path).name, refresh=False)
            bar.update(done - bar.n)

        yield show


def _reason(repository: str, error: Any) -> str:
    """One sentence on what went wrong, and what to do about it."""
    from huggingface_hub.utils import GatedRepoError, RepositoryNotFoundError

    status = error.status if isinstance(error, HttpStatusError) else None
    if isinstance(error, GatedRepoError) or status in (401, 403):
        return (
            f"Hugging Face does not give out {repository} without permission: accept the terms on its page, log in "
            "with `hf auth login` or give a token, and start again."
        )
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"Hugging Face has no model {repository}, or it is private: check the name, or give a token."
    if isinstance(error, DownloadError):
        return str(error)
    return f"{repository} could not be downloaded ({type(error).__name__}: {error}). What has arrived is kept."


def _by_hand(files: Sequence[RemoteFile], folder: Path) -> str:
    return "\n".join(f"  {file.url} ({format_size(file.size)})\n    -> {folder / file.path}" for file in files)
