"""What the page needs of the program it runs in, as functions: ComfyUI gives them, and tests give their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "running", "failed", "stopped", "gone", "done"]


@dataclass(frozen=True)
class PromptState:
    """What the queue knows of a prompt.

    Attributes:
        state: "gone" where it knows nothing: the server was started anew, or the queue was cleared. "done" is for turns
            that have their answer, about which no queue is asked.
        message: why it failed.
        seconds: it took, once it has ended.
    """

    state: State
    message: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Dependencies:
    """What the page is given.

    Attributes:
        chats: folder of the conversations of whoever sent a request.
        users: folder with one of each user.
        input_folder: where Load Image looks.
        exports: where conversations are exported to.
        datasets: folder of all datasets.
        choices: names of bundles, models, text encoders, vaes and loras, what each bundle recommends, and defaults.
        states: what the queue knows of prompts, by their ids.
        announce: tells every open page that a conversation has changed.
    """

    chats: Callable[[Any], Path]
    users: Callable[[], Path]
    input_folder: Callable[[], Path]
    exports: Callable[[], Path]
    datasets: Callable[[], Path]
    choices: Callable[[], Mapping[str, Any]]
    states: Callable[[Collection[str]], Mapping[str, PromptState]]
    announce: Callable[[str], None]
