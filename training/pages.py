"""Self-contained HTML pages: style, pictures and scripts are inside, and nothing is fetched."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape

from PIL import Image, ImageOps

THUMBNAIL_SIDE = 160

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 1200px; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; }
nav { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .3rem; }
nav a, nav b { padding: .1rem .5rem; border: 1px solid var(--line); border-radius: .3rem; text-decoration: none; }
.pair { display: flex; flex-wrap: wrap; gap: .8rem; padding: .8rem 0; border-top: 1px solid var(--line); }
figure { margin: 0; } figcaption { font-size: .8rem; opacity: .75; }
figure img { display: block; min-width: 32px; min-height: 32px; max-width: 160px;
             background: var(--soft); outline: 1px solid var(--line); }
.words { flex: 1 1 22rem; } .words p { margin: 0 0 .3rem; overflow-wrap: anywhere; }
.facts { font-size: .85rem; opacity: .85; } .validation { border-left: 4px solid #46c; padding-left: .6rem; }
.bad { color: #c33; } input { font: inherit; padding: .3rem; width: 22rem; max-width: 100%; }
"""


def html_page(title: str, *parts: str, script: str = "", style: str = "") -> str:
    """A page.

    Args:
        title: plain text.
        parts: HTML, in order.
        script: JavaScript to run at the end.
        style: CSS beside the common one.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        # Nothing on these pages may be fetched from anywhere, whatever an instruction contains.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body><h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + (f"\n<script>{script}</script>" if script else "\n")
        + "</body></html>\n"
    )


def inline_picture(image: Image.Image, side: int = THUMBNAIL_SIDE, quality: int = 78) -> str:
    """An ``<img>`` that carries the picture as a data URI.

    Args:
        side: pixels to which the longer side is shrunk where it is larger.
        quality: of the JPEG, 0 to 100.
    """
    small = ImageOps.contain(image, (side, side)) if max(image.size) > side else image
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def facts_table(rows: Mapping[str, str]) -> str:
    """Two columns: a name and what there is to say, both plain text."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{cells}</table>"
