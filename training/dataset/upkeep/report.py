"""``dataset report``: pages that show the pairs side by side, for any browser, without a network.

Every page carries its own thumbnails and style; large datasets get several pages, so that none is slow to open.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from html import escape
from itertools import islice
from pathlib import Path

from PIL import Image

from ....ace.files import relative_path, rename
from ...errors import DatasetError, ImageError
from ...pages import facts_table, html_page, inline_picture
from ..disk.files import PART
from ..disk.images import image_size, read_image
from ..disk.rows import PairRow
from ..disk.storage import as_write_error, safe_file
from ..intake.rejections import Rejection
from ..store import Dataset
from .verify import parallel_map

PAGE_SIZE = 100

_FILTER = """
document.getElementById('find').addEventListener('input', function () {
  var wanted = this.value.toLowerCase();
  document.querySelectorAll('.pair').forEach(function (pair) {
    pair.style.display = pair.textContent.toLowerCase().indexOf(wanted) < 0 ? 'none' : '';
  });
});
"""


def write_report(
    dataset: Dataset,
    output: str | os.PathLike | None = None,
    *,
    page_size: int = PAGE_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes the pages into a new folder.

    Args:
        output: a folder that is not there yet; by default ``report`` (or ``report-2`` …) inside the dataset.
        page_size: pairs on a page.
        progress: called with (pairs done, pairs in all).

    Returns:
        The first page.

    Raises:
        DatasetError: the output is there already, or the disk refuses.
    """
    folder = _new_folder(dataset.folder, output)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = folder.with_name(f".{uuid.uuid4().hex[:12]}{PART}")  # renamed when it is whole
        building.mkdir()
    except OSError as error:
        raise as_write_error(error, folder) from error
    try:
        _write_pages(dataset, building, page_size, progress)
        rename(building, folder)
    except OSError as error:
        raise as_write_error(error, folder) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder / "index.html"


def _write_pages(dataset: Dataset, folder: Path, page_size: int, progress: Callable[[int, int], None] | None) -> None:
    total = sum(1 for _ in dataset.rows())
    pages = max(1, -(-total // page_size))
    summary = _Summary()
    rows = iter(dataset.rows())
    done = 0
    for page in range(1, pages + 1):
        cards = []
        chunk = list(islice(rows, page_size))
        for row, card in zip(chunk, parallel_map(lambda r: _card(dataset.folder, folder, r), chunk), strict=True):
            cards.append(card.html)
            summary.add(row, card.size)
            done += 1
            if progress is not None:
                progress(done, total)
        _write(folder / _page_name(page), dataset.name, _navigation(page, pages), _FIND, *cards)
    parts = [_navigation(0, pages), summary.html(dataset), *_rejected(dataset)]
    _write(folder / "index.html", dataset.name, *parts)


def _new_folder(base: Path, output: str | os.PathLike | None) -> Path:
    if output is not None:
        folder = Path(output)
        if os.path.lexists(folder):
            raise DatasetError(f"{folder} is there already. Choose another output; nothing existing is overwritten.")
        return folder
    number = 1
    while os.path.lexists(base / (f"report-{number}" if number > 1 else "report")):
        number += 1
    return base / (f"report-{number}" if number > 1 else "report")


def _page_name(page: int) -> str:
    return f"pairs-{page:04d}.html"


_FIND = '<p><input id="find" placeholder="Show only pairs with these words" autocomplete="off"></p>'


def _write(path: Path, title: str, *parts: str) -> None:
    path.write_text(html_page(title, *parts, script=_FILTER if _FIND in parts else ""), encoding="utf-8", newline="\n")


def _navigation(current: int, pages: int) -> str:
    links = ["<b>Overview</b>" if current == 0 else '<a href="index.html">Overview</a>']
    for page in range(1, pages + 1):
        links.append(f"<b>{page}</b>" if page == current else f'<a href="{_page_name(page)}">{page}</a>')
    return f"<nav>{''.join(links)}</nav>"


class _Card:
    """One pair as HTML, and its result's (height, width), None where the file cannot be read."""

    def __init__(self, html: str, size: tuple[int, int] | None):
        self.html, self.size = html, size


def _card(base: Path, folder: Path, row: PairRow) -> _Card:
    masks = row.masks_by_index
    figures = []
    for index, name in enumerate(row.image_files):
        label = "source" if index == 0 else f"reference {index}"
        figures.append(_figure(base, folder, name, label))
        if index in masks:
            figures.append(_figure(base, folder, masks[index], f"mask of the {label}"))
    figures.append(_figure(base, folder, row.target_file_name, "result"))
    size = _size(base, row.target_file_name)
    facts = {
        "id": row.id,
        "split": row.split,
        "seed": "" if row.seed is None else str(row.seed),
        "weight": f"{row.weight:g}",
        "scores": _scores(row.scores),
        "tags": ", ".join(row.tags),
        "history": ", ".join(row.history),
        "workflow": (row.workflow or "")[:12],
        "created": row.created,
    }
    lines = " · ".join(f"{name} {escape(value)}" for name, value in facts.items() if value)
    prompt = f"<p><i>{escape(row.prompt)}</i></p>" if row.prompt != row.instruction else ""
    said = escape(row.instruction) if row.labelled else '<span class="bad">no instruction yet</span>'
    words = f'<div class="words"><p>{said}</p>{prompt}<p class="facts">{lines}</p></div>'
    return _Card(f'<div class="pair {escape(row.split)}" id="{escape(row.id)}">{"".join(figures)}{words}</div>', size)


def _figure(base: Path, folder: Path, name: str, label: str) -> str:
    try:
        loaded = Image.fromarray(read_image(safe_file(base, name)).pixels)
    except (ImageError, DatasetError) as error:
        return f'<figure><div class="bad">{escape(str(error))}</div><figcaption>{escape(label)}</figcaption></figure>'
    size = f"{loaded.width}×{loaded.height}"
    link = escape(relative_path(base / name, folder))
    return (
        f'<figure><a href="{link}">{inline_picture(loaded)}</a><figcaption>{escape(label)} {size}</figcaption></figure>'
    )


def _size(base: Path, name: str) -> tuple[int, int] | None:
    try:
        return image_size(safe_file(base, name))
    except (ImageError, DatasetError):
        return None


def _scores(scores) -> str:
    parts = []
    for key, value in scores.items():
        text = f"({_scores(value)})" if isinstance(value, dict) else f"{value:.3g}" if _is_number(value) else str(value)
        parts.append(f"{key} {text}")
    return ", ".join(parts)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class _Summary:
    """Numbers for the overview, gathered while the pages are written."""

    def __init__(self) -> None:
        self.splits: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.images: Counter[int] = Counter()
        self.tags: Counter[str] = Counter()
        self.sources: set[str] = set()
        self.seeds: set[int] = set()
        self.masked = 0
        self.rounds = 0
        self.scores: dict[str, list[float]] = {}

    def add(self, row: PairRow, size: tuple[int, int] | None) -> None:
        self.splits[row.split] += 1
        self.sizes["unreadable" if size is None else f"{size[1]}×{size[0]}"] += 1
        self.images[len(row.image_files)] += 1
        self.tags.update(row.tags)
        self.sources.add(row.source_hash)
        if row.seed is not None:
            self.seeds.add(row.seed)
        self.masked += bool(row.mask_file_names)
        self.rounds += bool(row.history)
        for name, value in _flat_scores(row.scores):
            self.scores.setdefault(name, []).append(value)

    def html(self, dataset: Dataset) -> str:
        counts = dataset.counts()
        rows = {
            "pairs": f"{sum(self.splits.values())} ({_counted(self.splits)})",
            "different sources": str(len(self.sources)),
            "different seeds": str(len(self.seeds)),
            "condition images a pair": _counted(self.images),
            "pairs with masks": str(self.masked),
            "later rounds": str(self.rounds),
            "sizes of results": _counted(self.sizes),
            "tags": _counted(self.tags) or "none",
            "rejected": f"{counts.rejected} ({_counted(Counter(counts.by_check))})" if counts.rejected else "none",
            "written": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        }
        for name, values in self.scores.items():
            values = sorted(values)
            middle = values[len(values) // 2]
            rows[f"score {name}"] = f"{values[0]:.3g} to {values[-1]:.3g}, median {middle:.3g}, {len(values)} pairs"
        return facts_table(rows)


def _flat_scores(scores, prefix: str = "") -> Iterable[tuple[str, float]]:
    for key, value in scores.items():
        if isinstance(value, dict):
            yield from _flat_scores(value, f"{prefix}{key}.")
        elif _is_number(value):
            yield f"{prefix}{key}", float(value)


def _counted(counter: Counter, most: int = 12) -> str:
    parts = [f"{name}: {count}" for name, count in counter.most_common(most)]
    if len(counter) > most:
        parts.append(f"{len(counter) - most} more")
    return ", ".join(parts)


def _rejected(dataset: Dataset, most: int = 200) -> list[str]:
    """The latest rejections; all of them are in ``rejected.jsonl``."""
    entries = list(dataset.rejected())
    if not entries:
        return []
    cards = [_rejected_card(dataset.folder, entry) for entry in reversed(entries[-most:])]
    shown = f", the latest {most} of them" if len(entries) > most else ""
    return [f"<h2>Rejected: {len(entries)}{shown}</h2>", *cards]


def _rejected_card(base: Path, entry: Rejection) -> str:
    picture = ""
    try:
        if entry.thumbnail and Path(entry.thumbnail).parts[:-1] == ("rejected",):
            loaded = Image.fromarray(read_image(safe_file(base, entry.thumbnail)).pixels)
            picture = f"<figure>{inline_picture(loaded)}</figure>"
    except (ImageError, DatasetError):
        pass  # the reason is what matters
    seed = "" if entry.seed is None else f" · seed {entry.seed}"
    facts = f'<p class="facts">{escape(entry.name)}{seed} · {escape(entry.created)}</p>'
    return f'<div class="pair">{picture}<div class="words"><p>{escape(entry.reason)}</p>{facts}</div></div>'
