"""Answers kept in a file by what was asked: nothing is asked twice, and tests need no model."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from .answer import Answer, Usage
from .backend import Backend
from .errors import NotRecorded
from .request import Request


class RecordedAnswers:
    """A backend that looks into a file first, and asks another backend only for what is not in it.

    Each answer is one line, written and flushed as it comes, so that a stop at any moment loses none. A line that was
    cut off by a stop is passed over.

    Args:
        path: JSON lines; made when the first answer comes.
        backend: asked for the rest; None allows recorded answers only.
        model: whose answers count; that of ``backend`` if left out.
        readable: recorded answers that it refuses are asked for anew, where there is somebody to ask; None takes all.
    """

    def __init__(
        self,
        path: Path,
        backend: Backend | None = None,
        *,
        model: str | None = None,
        readable: Callable[[Request, Answer], bool] | None = None,
    ) -> None:
        if backend is None and model is None:
            raise ValueError("recorded answers need a model's name, or a backend that has one")
        self.path = Path(path)
        self.model = model or backend.model
        self.address = None if backend is None else backend.address
        self.parallel = 1 if backend is None else backend.parallel
        self._backend = backend
        self._lock = threading.Lock()
        self._readable = readable
        self._answers = self._read()

    def __len__(self) -> int:
        return len(self._answers)

    def ask(self, request: Request) -> Answer:
        """Raises `NotRecorded` where nobody may be asked, else what the backend raises."""
        key = request.digest()
        with self._lock:
            known = self._answers.get(key)
        if known is not None and (self._backend is None or self._readable is None or self._readable(request, known)):
            return known
        if self._backend is None:
            raise NotRecorded(f"{self.path} has no answer of {self.model} to the question {key[:12]}")
        answer = self._backend.ask(request)
        self._keep(key, answer)
        return answer

    def _keep(self, key: str, answer: Answer) -> None:
        values = asdict(answer)
        values.pop("recorded")
        line = json.dumps({"request": key, "asked": self.model, **values}, ensure_ascii=False)
        with self._lock:
            self._answers[key] = replace(answer, recorded=True)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a+b") as file:
                if file.tell() and not _ends_line(file):
                    file.write(b"\n")  # a line that a stop cut off
                file.write(line.encode("utf-8", "replace") + b"\n")

    def _read(self) -> dict[str, Answer]:
        found: dict[str, Answer] = {}
        if not self.path.is_file():
            return found
        for line in self.path.read_bytes().splitlines():
            try:
                values = json.loads(line)
                if values.pop("asked") != self.model:
                    continue
                key, usage = values.pop("request"), Usage(**values.pop("usage"))
                found[key] = Answer(**values, usage=usage, recorded=True)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found


def _ends_line(file) -> bool:
    file.seek(-1, 2)
    return file.read(1) == b"\n"
