"""Two pairs side by side in a browser: the artist clicks the better one, again and again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

from ...dataset.store import Dataset
from ...errors import DatasetError
from ...pages import html_page
from ..ranking import next_comparison, progress, record_choice
from .preview import pair_figures

_SIDE = 360  # pixels of a picture
_MOST_BYTES = 4096  # of an answer
_STYLE = """
.two { display: flex; flex-wrap: wrap; gap: 2rem; } .two > section { flex: 1 1 24rem; cursor: pointer; }
.pictures { display: flex; gap: .5rem; }
figure img { max-width: 100%; } button { font: inherit; padding: .6rem 1.2rem; margin: .6rem .6rem 0 0; cursor: pointer; }
"""
_KEYS = """
const sides = [...document.querySelectorAll(".two > section")];
for (const [place, key] of ["ArrowLeft", "ArrowRight"].entries())
    sides[place]?.addEventListener("click", () => document.querySelector(`button[data-key="${key}"]`)?.click());
addEventListener("keydown", event => {
    const button = document.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
    if (button && !event.repeat) { event.preventDefault(); button.click(); }
});
"""


class ComparePage:
    """A page on this machine alone, at an address that nobody else can guess.

    Args:
        dataset: whose pairs are compared.
        pairs: how many of them are ranked.
        port: to listen on; 0 takes a free one.

    Attributes:
        address: to open in a browser.
        done: whether there is nothing left to ask.
    """

    def __init__(self, dataset: Dataset, pairs: int, port: int = 0) -> None:
        self.done = False
        self._dataset, self._pairs = dataset, pairs
        path = f"/{secrets.token_urlsafe(12)}/"
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != path:
                    self.send_error(404)
                else:
                    page._send(self, page._write())

            def do_POST(self) -> None:
                size = self.headers.get("Content-Length", "")
                if self.path != path or not size.isdigit() or int(size) > _MOST_BYTES:
                    self.send_error(404)
                    return
                try:
                    page._take(self.rfile.read(int(size)).decode("utf-8", "replace"))
                except DatasetError as error:
                    self.send_error(400, explain=str(error))
                    return
                self.send_response(303)
                self.send_header("Location", path)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """A page of one's own needs no log."""

        self._server = HTTPServer(("127.0.0.1", port), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}{path}"

    def serve(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Answers until all comparisons are made and the last page was sent, or until asked to stop."""
        self._server.timeout = 0.5
        try:
            while not self.done and not should_stop():
                self._server.handle_request()
        finally:
            self._server.server_close()

    def _take(self, form: str) -> None:
        values = {key: found[0] for key, found in parse_qs(form).items()}
        record_choice(self._dataset, values.get("first", ""), values.get("second", ""), values.get("better") or None)

    def _write(self) -> str:
        following = next_comparison(self._dataset, self._pairs)
        made, wanted = progress(self._dataset, self._pairs)
        if following is None:
            self.done = True
            words = "There are fewer than two pairs." if not made else f"{made} choices: enough, thank you."
            return html_page("Which is better?", f"<p>{words} You may close this page.</p>")
        sides = "".join(self._side(pair) for pair in following)
        first, second = map(escape, following)
        buttons = "".join(
            f'<button name="better" value="{value}" data-key="{key}">{label}</button>'
            for value, key, label in (
                (first, "ArrowLeft", "← the left one"),
                (second, "ArrowRight", "the right one →"),
                ("", "ArrowDown", "↓ no difference"),
            )
        )
        hidden = (
            f'<input type="hidden" name="first" value="{first}"><input type="hidden" name="second" value="{second}">'
        )
        return html_page(
            "Which is better?",
            f"<p>{made} of about {wanted} choices made. Look at what was asked for, and at what else has changed.</p>",
            f'<div class="two">{sides}</div><form method="post">{hidden}{buttons}</form>',
            style=_STYLE,
            script=_KEYS,
        )

    def _side(self, pair: str) -> str:
        row = self._dataset.row(pair)
        figures = pair_figures(self._dataset, row, _SIDE)
        return f'<section><div class="pictures">{figures}</div><p>{escape(row.prompt or row.instruction)}</p></section>'

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, text: str) -> None:
        data = text.encode("utf-8", "replace")
        handler.send_response(200)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(data)),
            "Cache-Control": "no-store",
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)
