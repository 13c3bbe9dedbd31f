"""From what a user typed to a backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from .answer import Answer
from .errors import ModelError
from .ollama import OllamaBackend, is_ollama
from .openai import OpenAIBackend
from .probe import probe
from .recorded import RecordedAnswers
from .request import Request
from .response_format import FormatMemory, user_format_memory

KEY = "ACE_JUDGE_KEY"
Kind = Literal["auto", "openai", "ollama"]


def open_backend(
    address: str,
    model: str = "",
    *,
    kind: Kind = "auto",
    parallel: int | None = None,
    memory: FormatMemory | None = None,
    timeout: float = 600.0,
) -> OpenAIBackend | OllamaBackend:
    """The server at an address.

    The key, where one is needed, is in the environment variable ``ACE_JUDGE_KEY``: it never stands on a node, in a
    workflow or in a dataset, all of which are shared.

    Args:
        address: the only one that is contacted.
        model: may be left out where the server has just one.
        kind: "auto" asks the server whether it is Ollama.
        parallel: questions at once.

    Raises:
        ModelError: there is no such server, or it has several models and none was named.
    """
    key = os.environ.get(KEY) or None
    memory = memory or user_format_memory()
    if kind == "auto":
        kind = "ollama" if is_ollama(address, key) else "openai"
    make = OllamaBackend if kind == "ollama" else OpenAIBackend
    given = {} if parallel is None else {"parallel": parallel}
    backend = make(address, model, key=key, memory=memory, timeout=timeout, **given)
    if not model:
        backend.model = _only_model(backend)
    return backend


def _only_model(backend: OpenAIBackend | OllamaBackend) -> str:
    names = backend.models()
    if len(names) == 1:
        return names[0]
    offered = ", ".join(names[:20]) or "none"
    raise ModelError(f"name the model: {backend.address} offers {offered}")


def open_recording(
    server: str,
    model: str,
    answers: Path,
    *,
    kind: Kind = "auto",
    parallel: int | None = None,
    timeout: float = 600.0,
    check: bool = True,
    readable: Callable[[Request, Answer], bool] | None = None,
) -> RecordedAnswers:
    """The model on a server; its answers are kept in a file as they come.

    Args:
        server: the only address that is contacted.
        model: as the server names it; empty where it has just one.
        answers: the file.
        check: show it two swatches first.
        readable: which answers of the file count; the server is asked anew about the others. None takes all.

    Raises:
        ModelError: there is no such server or model, or it does not see pictures.
    """
    backend = open_backend(server, model, kind=kind, parallel=parallel, timeout=timeout)
    if check:
        probe(backend)
    return RecordedAnswers(answers, backend, readable=readable)
