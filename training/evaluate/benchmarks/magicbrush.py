"""MagicBrush (Zhang et al. 2023): its test folder as released, with sessions of up to three turns.

Expected are ``edit_sessions.json``, ``local_descriptions.json`` (or ``global_descriptions.json``) and ``images/ID/…``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EvaluationError
from .sessions import Session, Turn, file_picture, safe_id

_CAPTIONS = ("local_descriptions.json", "local_captions.json", "global_descriptions.json", "global_description.json")


def read_magicbrush(folder: Path) -> Iterator[Session]:
    """Sessions in the order of their file.

    Raises:
        EvaluationError: a file is missing or says something else.
    """
    sessions = _json(folder / "edit_sessions.json")
    captions = next((_json(folder / name) for name in _CAPTIONS if (folder / name).is_file()), {})
    images = folder / "images" if (folder / "images").is_dir() else folder
    for name, turns in sessions.items():
        words = captions.get(name, {})
        try:
            yield Session(
                tuple(
                    Turn(
                        id=safe_id(name, number),
                        instruction=turn["instruction"],
                        source=file_picture(images, f"{name}/{turn['input']}"),
                        target=file_picture(images, f"{name}/{turn['output']}"),
                        source_caption=_caption(words, turn["input"]),
                        target_caption=_caption(words, turn["output"]),
                    )
                    for number, turn in enumerate(turns, 1)
                )
            )
        except (KeyError, TypeError) as error:
            raise EvaluationError(f"the session {name!r} of {folder / 'edit_sessions.json'} lacks {error}") from error


def _caption(words: Any, name: str) -> str:
    """Captions are by picture; where they are of the whole session they are a text."""
    return str(words.get(name, "")) if isinstance(words, dict) else str(words or "")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise EvaluationError(
            f"{path} is missing: MagicBrush's test folder has edit_sessions.json, local_descriptions.json and images/"
        ) from None
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise EvaluationError(f"{path} is no table by picture, but {type(value).__name__}")
    return value
