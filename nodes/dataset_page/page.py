"""What the page is answered, one handler an address.

Disk and pictures are worked on in threads: the loop also serves the whole of ComfyUI.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from ...training.dataset.curation.catalogue import Catalogue, Entry, search_words
from ...training.dataset.curation.edits import edit_pairs
from ...training.dataset.curation.history import RemovedPair
from ...training.dataset.curation.removal import delete_pairs, restore_pairs
from ...training.dataset.curation.thumbnails import rejected_thumbnail, thumbnail
from ...training.dataset.disk.rows import PairRow
from ...training.dataset.disk.storage import safe_file
from ...training.dataset.intake.rejections import Rejection
from ...training.errors import UnknownPairError
from ...training.judge.ranking import record_choice
from ...training.label.journal import LabelJournal
from ...training.label.review import label_item, proposed_texts, waiting
from ..pages.errors import answered
from ..pages.requests import read_body
from .answers import ERRORS, comparison, details, kept_item, pictures, rejected_item, removed_item
from .labels import decide_label
from .opened import OpenedDatasets
from .requests import (
    ChoiceRequest,
    DeleteRequest,
    EditRequest,
    LabelRequest,
    ListRequest,
    RestoreRequest,
    read_query,
    seen_digests,
)

_PICTURES_AT_ONCE = 2  # decoding takes a core each, and something may be sampling or training
_MOST_TAGS = 200  # in the menu
# An address with ?v= names one version of a picture, so the browser need never ask again.
_KEEP = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_ASK_AGAIN = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}


class Page:
    """The handlers, which share the datasets that are open.

    Args:
        root: gives the folder of all datasets.
    """

    def __init__(self, root: Callable[[], Path]):
        self._opened = OpenedDatasets(root)
        self._labels = self._opened.labels
        self._pictures = asyncio.Semaphore(_PICTURES_AT_ONCE)

    async def answer(self, name: str, request: web.Request) -> web.StreamResponse:
        """What the handler of this name answers, or its error as an answer with its words."""
        return await answered(getattr(self, name), ERRORS)(request)

    async def names(self, request: web.Request) -> web.Response:
        return web.json_response({"datasets": await asyncio.to_thread(self._opened.names)})

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response(
            await self._read(request, lambda catalogue: _state(catalogue, self._labels(catalogue)))
        )

    async def list(self, request: web.Request) -> web.Response:
        wanted = read_query(request.query)
        return web.json_response(
            await self._read(request, lambda catalogue: _list(catalogue, self._labels(catalogue), wanted))
        )

    async def pair(self, request: web.Request) -> web.Response:
        def read(catalogue: Catalogue) -> dict[str, Any]:
            found = _find(catalogue, request)
            item = (
                kept_item(catalogue, catalogue.entry(found.row.id))
                if found.removed is None
                else removed_item(found.removed)
            )
            label = label_item(self._labels(catalogue), found.row) if found.removed is None else {}
            return {**details(catalogue, found.row, item), "label": label}

        return web.json_response(await self._read(request, read))

    async def comparison(self, request: web.Request) -> web.Response:
        return web.json_response(await self._read(request, comparison))

    async def choose(self, request: web.Request) -> web.Response:
        body: ChoiceRequest = await read_body(request, ChoiceRequest)

        def choose(catalogue: Catalogue) -> dict[str, Any]:
            record_choice(catalogue, body.first, body.second, body.better)
            with catalogue.lock:
                return comparison(catalogue)

        return web.json_response(await self._change(request, choose))

    async def edit(self, request: web.Request) -> web.Response:
        body: EditRequest = await read_body(request, EditRequest)
        asked = seen_digests(body.pairs)

        def change(catalogue: Catalogue) -> dict[str, Any]:
            changed = edit_pairs(catalogue, asked, body.changes.edit())
            with catalogue.lock:
                items = [kept_item(catalogue, catalogue.entry(id_)) for id_ in {**asked, **changed} if id_ in catalogue]
            return {
                "pairs": [item for item in items if item["id"] in asked],
                "along": [item for item in items if item["id"] not in asked],
                "before": changed,
            }

        return web.json_response(await self._change(request, change))

    async def label(self, request: web.Request) -> web.Response:
        body: LabelRequest = await read_body(request, LabelRequest)
        decided = await self._change(request, lambda catalogue: decide_label(catalogue, self._labels(catalogue), body))
        return web.json_response(decided)

    async def delete(self, request: web.Request) -> web.Response:
        body: DeleteRequest = await read_body(request, DeleteRequest)
        deleted = await self._change(request, lambda catalogue: delete_pairs(catalogue, seen_digests(body.pairs)))
        return web.json_response({"keys": [pair.key for pair in deleted]})

    async def restore(self, request: web.Request) -> web.Response:
        body: RestoreRequest = await read_body(request, RestoreRequest)
        return web.json_response({"ids": await self._change(request, lambda opened: restore_pairs(opened, body.keys))})

    async def thumbnail(self, request: web.Request) -> web.StreamResponse:
        found, folder = await self._read(request, lambda catalogue: (_find(catalogue, request), catalogue.folder))
        source, target = (
            name and found.file(name) for name in (found.row.source_file_name, found.row.target_file_name)
        )
        return await self._small(request, lambda: thumbnail(folder, found.row.id, source, target))

    async def rejected_thumbnail(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]

        def find(catalogue: Catalogue) -> tuple[Rejection, Path]:
            if not number.isdecimal() or len(number) > 9 or int(number) >= len(catalogue.rejections):
                raise UnknownPairError("There is no such rejected pair.")
            return catalogue.rejections[int(number)], catalogue.folder

        rejection, folder = await self._read(request, find)
        return await self._small(request, lambda: rejected_thumbnail(folder, rejection))

    async def picture(self, request: web.Request) -> web.StreamResponse:
        def find(catalogue: Catalogue) -> Path:
            found = _find(catalogue, request)
            name = pictures(found.row).get(request.match_info["picture"])
            if name is None:
                raise UnknownPairError(f"The pair {found.row.id} has no such picture.")
            path = safe_file(catalogue.folder, found.file(name))
            if not path.is_file():
                raise UnknownPairError(
                    f"The file {path.name} is gone: check the dataset with `comfyui-ace dataset check`."
                )
            return path

        path = await self._read(request, find)
        return web.FileResponse(path, headers={**_caching(request), "Content-Type": "image/png"})

    async def _small(self, request: web.Request, make: Callable[[], bytes]) -> web.StreamResponse:
        """A small picture, unless the browser has scrolled past it by the time it is its turn."""
        async with self._pictures:
            if request.transport is None or request.transport.is_closing():
                return web.Response(status=204)
            data = await asyncio.to_thread(make)
        return web.Response(body=data, content_type="image/jpeg", headers=_caching(request))

    async def _read(self, request: web.Request, work: Callable[[Catalogue], Any]) -> Any:
        """What ``work`` finds in the dataset that is asked for, which does not change meanwhile."""

        def run() -> Any:
            catalogue = self._opened.open(request.match_info["name"])
            with catalogue.lock:
                return work(catalogue)

        return await asyncio.to_thread(run)

    async def _change(self, request: web.Request, work: Callable[[Catalogue], Any]) -> Any:
        """As ``_read``, for work that waits for other writers: the page can be read meanwhile."""
        return await asyncio.to_thread(lambda: work(self._opened.open(request.match_info["name"])))


@dataclass(frozen=True)
class _Found:
    """A pair that is kept or deleted.

    Attributes:
        row: its metadata.
        removed: what is known of a deleted one.
    """

    row: PairRow
    removed: RemovedPair | None = None

    def file(self, name: str) -> str:
        """Where a file of the pair lies now."""
        return name if self.removed is None else self.removed.file(name)


def _find(catalogue: Catalogue, request: web.Request) -> _Found:
    """The pair that is asked for."""
    wanted = request.match_info["id"]
    if request.match_info["kind"] == "pairs":
        return _Found(catalogue.row(wanted))
    pair = catalogue.removed_pair(wanted)
    return _Found(pair.row, pair)


def _state(catalogue: Catalogue, journal: LabelJournal) -> dict[str, Any]:
    """Numbers for the head of the page."""
    splits = Counter(entry.split for entry in catalogue)
    return {
        "name": catalogue.folder.name,
        "version": _version(catalogue, journal),
        "kept": len(catalogue),
        "proposed": len(waiting(journal, list(catalogue))),
        "train": splits["train"],
        "validation": splits["validation"],
        "deleted": len(catalogue.history.removed),
        "rejected": len(catalogue.rejections),
        "tags": dict(catalogue.tags().most_common(_MOST_TAGS)),
    }


def _list(catalogue: Catalogue, journal: LabelJournal, wanted: ListRequest) -> dict[str, Any]:
    """A stretch of the list that is asked for."""
    query, stretch = wanted.query(), slice(wanted.offset, wanted.offset + wanted.limit)
    if wanted.show == "rejected":
        numbered = catalogue.select_rejected(query)
        found, items = numbered, [rejected_item(rejection, number) for number, rejection in numbered[stretch]]
    elif wanted.show == "deleted":
        found = catalogue.select_removed(query)
        items = [removed_item(pair) for pair in found[stretch]]
    elif wanted.show == "proposed":

        def words(entry: Entry) -> str:
            return f"{entry.words}\n{search_words(proposed_texts(journal, entry.id))}"

        found = waiting(journal, catalogue.select(query, words))
        items = [
            {**kept_item(catalogue, entry), "proposed": next(iter(proposed_texts(journal, entry.id)), "")}
            for entry in found[stretch]
        ]
    else:
        found = catalogue.select(query)
        items = [kept_item(catalogue, entry) for entry in found[stretch]]
    return {"version": _version(catalogue, journal), "total": len(found), "offset": wanted.offset, "items": items}


def _version(catalogue: Catalogue, journal: LabelJournal) -> str:
    """Another text whenever pairs or labels have changed on disk."""
    return f"{catalogue.version}-{journal.size}"


def _caching(request: web.Request) -> dict[str, str]:
    return _KEEP if request.query.get("v") else _ASK_AGAIN
