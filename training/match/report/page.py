"""The pages: numbers first, then the sets, on which bad ones can be struck out. They need no server and no network."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ...errors import ImageError
from ...pages import facts_table, html_page, inline_picture
from ..cluster.centroids import mixed
from ..disk.columns import Tables
from ..disk.pictures import read_picture, short_name
from ..disk.places import Place
from ..embed.readers import default_workers
from ..embed.records import decode_reduced
from ..emit.writing import set_name, sets_of
from ..steps.work import OnProgress, Shards
from .choices import FORMAT
from .statistics import histogram, in_words

SETS_PER_PAGE, MOST_SETS, MOST_PICTURES = 60, 1200, 8
_THUMBNAIL = 168
_DRAWN = "drawn.json"  # what the pages were drawn for
_REASONS_SHOWN = 200

_STYLE = """
.set { border-top: 1px solid var(--line); padding: .6rem 0; }
.set h3 { font-size: .95rem; margin: 0 0 .4rem; font-weight: 500; }
.pictures { display: flex; flex-wrap: wrap; gap: .4rem; align-items: flex-start; }
button { font: inherit; cursor: pointer; }
.picture { border: 2px solid transparent; background: none; padding: 0; text-align: left; max-width: 176px;
           overflow-wrap: anywhere; font-size: .75rem; color: inherit; }
.picture:hover, .picture:focus-visible { border-color: #46c; }
.out { opacity: .3; outline: 2px solid #c33; } .out .out { outline: none; opacity: 1; }
.bar { position: sticky; top: 0; padding: .5rem; background: Canvas; border-bottom: 1px solid var(--line); z-index: 1; }
.bars td div { background: #46c; height: 1rem; min-width: 1px; }
"""
_SCRIPT = """
(function () {
  var run = %(run)s, name = %(name)s, place = 'ace-match-' + run, out = {sets: {}, pictures: {}};
  // Another page of this run may be open beside this one and know more; a browser may also refuse to remember anything.
  function recall() { try { out = JSON.parse(localStorage.getItem(place)) || out; } catch (error) {} }
  function turn(kind, id) {
    recall();
    out[kind][id] = !out[kind][id];
    try { localStorage.setItem(place, JSON.stringify(out)); } catch (error) {}
    show();
  }
  function told(kind, gone) { return Object.keys(out[kind]).filter(function (id) { return !!out[kind][id] === gone; }); }
  function counted(found, word) { return found.length + ' ' + word + (found.length === 1 ? '' : 's'); }
  function show() {
    document.querySelectorAll('[data-set]').forEach(function (set) {
      var gone = !!out.sets[set.dataset.set];
      set.classList.toggle('out', gone);
      var button = set.querySelector('.strike');
      button.textContent = gone ? 'Keep' : 'Strike out';
      button.setAttribute('aria-pressed', gone);
    });
    document.querySelectorAll('[data-picture]').forEach(function (picture) {
      var gone = !!out.pictures[picture.dataset.picture];
      picture.classList.toggle('out', gone);
      picture.setAttribute('aria-pressed', gone);
    });
    document.getElementById('count').textContent =
      counted(told('sets', true), 'set') + ' and ' + counted(told('pictures', true), 'picture') + ' struck out';
  }
  document.addEventListener('click', function (event) {
    var picture = event.target.closest('[data-picture]'), strike = event.target.closest('.strike');
    if (picture) turn('pictures', picture.dataset.picture);
    if (strike) turn('sets', strike.closest('[data-set]').dataset.set);
  });
  window.addEventListener('storage', function (event) { if (event.key === place) { recall(); show(); } });
  document.getElementById('save').addEventListener('click', function () {
    var data = {format: %(format)s, run: run, page: %(page)s, saved: Date.now(), sets: told('sets', true),
                pictures: told('pictures', true), kept: {sets: told('sets', false), pictures: told('pictures', false)}};
    var link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(data)], {type: 'application/json'}));
    link.download = name;
    document.body.appendChild(link); link.click(); link.remove();
  });
  recall();
  show();
})();
"""


class Finding(Protocol):
    """What a run has found; see ``run.Found``."""

    counts: dict[str, Any]
    sets: Tables
    pairs: Tables
    shards: Shards
    digest: str
    probe: dict[str, float] | None
    facts: dict[str, str]


@dataclass(frozen=True)
class ShownSet:
    """A set on a page. scores: the lowest and the highest of its last turn."""

    name: int
    paths: dict[int, str]
    tested: int
    scores: tuple[float, float]

    @property
    def possible(self) -> int:
        return len(self.paths) * (len(self.paths) - 1) // 2


def write_pages(folder: Path, found: Finding, on_progress: OnProgress) -> Path:
    """Writes the pages, unless those of the same sets are there.

    Returns:
        The first page.
    """
    place = Place.of(folder)
    state = json.dumps({"digest": found.digest, "pages": 4}).encode()
    if place.exists(_DRAWN) and place.read(_DRAWN) == state:
        return folder / "index.html"
    shown, left_out = _chosen_sets(found)
    pages = [shown[start : start + SETS_PER_PAGE] for start in range(0, len(shown), SETS_PER_PAGE)]
    done = 0
    with ThreadPoolExecutor(default_workers()) as pool:
        for number, sets in enumerate(pages, 1):
            sections = []
            for one in sets:
                sections.append(_section(one, pool))
                done += 1
                on_progress("drawing pages", done, len(shown))
            place.write(_page_name(number), _sets_page(found, number, len(pages), sections).encode())
    for stale in place.names() - {_page_name(number) for number in range(1, len(pages) + 1)}:
        if stale.startswith("sets-"):
            (folder / stale).unlink(missing_ok=True)
    place.write("index.html", _index(found, len(pages), len(shown), left_out).encode())
    place.write(_DRAWN, state)
    return folder / "index.html"


def _chosen_sets(found: Finding) -> tuple[list[ShownSet], int]:
    """The largest sets, and of the rest as many as there is room for, drawn by their names; and how many are left out."""
    total = found.counts.get("sets", 0)
    share = 1.0 if total <= MOST_SETS else MOST_SETS / 2 / total
    sampled: list[ShownSet] = []
    largest: list[ShownSet] = []
    for one in _all_sets(found):
        # The sample is by name, whichever bucket the set is in.
        if mixed(np.array([one.name]))[0] < np.uint64(share * (2.0**64 - 2**12)):
            sampled.append(one)
        elif total > MOST_SETS:
            largest = sorted([*largest, one], key=_from_large)[: MOST_SETS // 2]
    shown = sorted([*sampled[:MOST_SETS], *largest], key=_from_large)
    return shown, total - len(shown)


def _from_large(one: ShownSet) -> tuple[int, int]:
    return -len(one.paths), one.name


def _all_sets(found: Finding) -> Iterator[ShownSet]:
    for bucket in sorted(found.sets.names(), key=int):
        for name, paths, tested in sets_of(found.sets.read(bucket), found.pairs.read(bucket)):
            scores = [pair[2][-1] for pair in tested]
            yield ShownSet(name, paths, len(tested), (min(scores), max(scores)) if scores else (0.0, 0.0))


def _section(one: ShownSet, pool: ThreadPoolExecutor) -> str:
    members = list(one.paths.items())[:MOST_PICTURES]
    pictures = "".join(pool.map(_picture, members))
    more = f"<p>and {len(one.paths) - len(members)} more</p>" if len(one.paths) > len(members) else ""
    low, high = one.scores
    said = f"{len(one.paths)} pictures · {one.tested} of {one.possible} pairs pass · similarity {low:.3f} to {high:.3f}"
    name = set_name(one.name)
    return (
        f'<section class="set" data-set="{name}"><h3><button class="strike" type="button">Strike out</button> '
        f'{said} <span class="facts">set {name}</span></h3><div class="pictures">{pictures}</div>{more}</section>'
    )


def _picture(member: tuple[int, str]) -> str:
    key, path = member
    try:
        pixels, _ = decode_reduced(read_picture(path), _THUMBNAIL)
        shown = inline_picture(Image.fromarray(pixels), _THUMBNAIL, quality=70)
    except (OSError, ImageError) as error:
        shown = f'<span class="bad">{escape(str(error))}</span>'
    name = escape(short_name(path))
    return (
        f'<button type="button" class="picture" data-picture="{set_name(key)}" title="Strike out this picture alone: '
        f'{escape(path)}">{shown}{name}</button>'
    )


def _sets_page(found: Finding, number: int, pages: int, sections: list[str]) -> str:
    name = f"choices-{number:04d}.json" if pages > 1 else "choices.json"
    values = {"run": found.digest, "name": name, "format": FORMAT, "page": str(number)}
    script = _SCRIPT % {key: json.dumps(value) for key, value in values.items()}
    bar = (
        '<div class="bar"><button id="save" type="button">Save choices</button> <span id="count"></span>. '
        "Click a picture to strike it out alone. Save the file into the run's folder, or give it with --choices; then run "
        "the same command with --dataset NAME.</div>"
    )
    return html_page(f"Sets, page {number}", _navigation(number, pages), bar, *sections, script=script, style=_STYLE)


def _index(found: Finding, pages: int, shown: int, left_out: int) -> str:
    rows = histogram(found.counts)
    most = max((count for _, count in rows), default=0) or 1
    bars = "".join(
        f'<tr><th>{escape(name)}</th><td>{count:,}</td><td style="width:60%"><div style="width:{100 * count / most:.1f}%">'
        "</div></td></tr>"
        for name, count in rows
    )
    sample = f"<p>{shown:,} sets are shown, the largest and a sample; {left_out:,} are not.</p>" if left_out else ""
    parts = [
        _navigation(0, pages),
        facts_table(in_words(found.counts, found.probe)),
        f'<h2>Sets by size</h2><table class="bars" style="width:100%">{bars}</table>{sample}',
        f"<h2>How it was looked for</h2>{facts_table(found.facts)}",
        *_aside(found.shards),
        *_copies(found.shards),
    ]
    return html_page("Pairs from a collection", *parts, style=_STYLE)


def _aside(shards: Shards) -> Iterator[str]:
    lines = io.StringIO()
    count = 0
    for name in shards.names:
        columns = shards.embedded.read(name, ("path", "reason"))
        for row in (columns["reason"] != "").nonzero()[0]:
            count += 1
            if count <= _REASONS_SHOWN:
                lines.write(f"<li>{escape(columns['path'][row])}: {escape(columns['reason'][row])}</li>")
    if count:
        rest = f"<p>and {count - _REASONS_SHOWN:,} more in set-aside.txt</p>" if count > _REASONS_SHOWN else ""
        yield f"<h2>Set aside</h2><ul>{lines.getvalue()}</ul>{rest}"


def _copies(shards: Shards) -> Iterator[str]:
    lines = io.StringIO()
    count = 0
    for count, (path, of) in enumerate(shards.copies(), 1):
        if count <= _REASONS_SHOWN:
            lines.write(f"<li>{escape(path)} (kept: {escape(of)})</li>")
    if count:
        rest = f"<p>and {count - _REASONS_SHOWN:,} more in copies.txt</p>" if count > _REASONS_SHOWN else ""
        yield (
            "<h2>Copies</h2><p>Left out, because they look like another file that has more pixels or is less compressed. "
            f"If edits of a small spot are among them, give --keep-near-copies.</p><ul>{lines.getvalue()}</ul>{rest}"
        )


def _page_name(number: int) -> str:
    return f"sets-{number:04d}.html"


def _navigation(current: int, pages: int) -> str:
    links = ["<b>Overview</b>" if current == 0 else '<a href="index.html">Overview</a>']
    for page in range(1, pages + 1):
        name = "Sets" if pages == 1 else f"Sets {page}"
        links.append(f"<b>{name}</b>" if page == current else f'<a href="{_page_name(page)}">{name}</a>')
    return f"<nav>{''.join(links)}</nav>"
