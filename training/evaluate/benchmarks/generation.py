"""The model's results on a benchmark: each a file that appears whole, so that a run goes on wherever it was stopped.

Work is divided by sessions, into shards for several machines and among several devices of one.
"""

from __future__ import annotations

import json
import queue
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ....ace.files import atomic_write
from ....ace.lcu.indicators import indicator, mentioned_images
from ....ace.lcu.intake import condition_image
from ....ace.lcu.units import ConditionUnit, LongContext
from ....ace.model.sampler import NotFiniteError
from ....ace.notices import Notify, silent
from ....ace.pictures.resolution import Resolution
from ....ace.pipeline import ACEPipeline
from ..errors import EvaluationError
from ..run import SamplerSettings
from .sessions import Session, Setting, Turn

Edit = Callable[[LongContext, int], Image.Image]  # what is asked, and the seed
_RUN = "run.json"
_MOST_ROUNDS = 4  # of history; the paper's sessions have three turns


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th session, from ``index`` on."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise EvaluationError(f"shards are numbered from 0 to {self.count - 1}, got {self.index}")

    def of(self, sessions: Iterable[Session]) -> list[Session]:
        return [session for number, session in enumerate(sessions) if number % self.count == self.index]


def result_path(folder: Path, setting: Setting, turn: Turn) -> Path:
    """Where the result of a turn is."""
    return folder / setting / f"{turn.id}.png"


def begin_run(folder: Path, description: dict[str, Any]) -> None:
    """Writes what the results in a folder are of, or checks that it is the same.

    Raises:
        EvaluationError: the folder has results of another model or with other settings.
    """
    path = folder / _RUN
    if path.is_file():
        try:
            before = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise EvaluationError(f"{path} cannot be read ({error}); choose another output folder") from error
        other = {key for key in {*before, *description} if before.get(key) != description.get(key)}
        if other:
            named = ", ".join(f"{key} was {before.get(key)!r}, is {description.get(key)!r}" for key in sorted(other))
            raise EvaluationError(f"{folder} has results of another run ({named}); choose another output folder")
        return
    with atomic_write(path) as temporary:
        temporary.write_text(
            json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
        )


def generate(
    sessions: Sequence[Session],
    setting: Setting,
    folder: Path,
    editors: Sequence[Callable[[], Edit]],
    *,
    seed: int = 0,
    masks: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    notify: Notify = silent,
) -> bool:
    """Has a model answer all turns that have no result yet.

    A turn on which it gives no picture is passed over, with those that build on its result.

    Args:
        editors: one a device; each is called in a thread of its own and gives the model on that device.
        seed: with a turn's id it decides the noise, so that neither order nor shards change a result.
        masks: whether the model is told where the source may change, if the benchmark says so.
        progress: told sessions done and all of them.
        notify: told by name where a turn was given no picture, and what is made of its mask.

    Returns:
        False after a stop.

    Raises:
        EvaluationError: a picture cannot be read, or the model gives none on any turn; what was made before stays.
    """
    waiting: queue.SimpleQueue[Session] = queue.SimpleQueue()
    for session in sessions:
        waiting.put(session)
    state = _State(len(sessions), progress, should_stop, notify)

    def work(open_editor: Callable[[], Edit]) -> None:
        edit: Edit | None = None
        try:
            while not state.stopped():
                try:
                    session = waiting.get_nowait()
                except queue.Empty:
                    return
                if not _finished(session, setting, folder):
                    edit = edit or open_editor()
                    _answer(session, setting, folder, edit, seed, masks, state)
                state.count()
        except BaseException as error:
            state.fail(error)

    threads = [threading.Thread(target=work, args=(editor,), name="benchmark", daemon=True) for editor in editors]
    state.watch(threads)
    if state.error is not None:
        raise state.error
    if state.failed and not any(map(partial(_begun, setting, folder), sessions)):
        raise EvaluationError(f"the model gave no picture on any turn. {state.failed}")
    return state.done == len(sessions)


class _State:
    """What the threads share. Progress is told in the caller's thread, where an exception of it stops the run."""

    def __init__(
        self, total: int, progress: Callable[[int, int], None], should_stop: Callable[[], bool], notify: Notify
    ) -> None:
        self.total, self.done = total, 0
        self.error: BaseException | None = None
        self.failed = ""  # the first turn without a picture, and why
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._notify = notify
        self._told = -1
        self._stop = False
        self._progress, self._should_stop = progress, should_stop
        self._lock = threading.Lock()

    def count(self) -> None:
        with self._lock:
            self.done += 1

    def fail(self, error: BaseException) -> None:
        with self._lock:
            self.error = self.error or error
            self._stop = True

    def say(self, message: str) -> None:
        """Of any thread; told in the caller's."""
        self._messages.put(message)

    def miss(self, turn: Turn, reason: Exception) -> None:
        """A turn on which the model gave no picture."""
        message = f"turn {turn.id}: {reason}"
        with self._lock:
            self.failed = self.failed or message
        self.say(message)

    def stopped(self) -> bool:
        return self._stop

    def watch(self, threads: Sequence[threading.Thread]) -> None:
        """Starts the threads and waits for them."""
        self.report()  # a stop that was asked for before the first turn is heard before it
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
                self.report()
        self.report()

    def report(self) -> None:
        self._stop = self._stop or self._should_stop()
        while not self._messages.empty():
            self._notify(self._messages.get())
        if self.done == self._told:
            return
        self._told = self.done
        try:
            self._progress(self.done, self.total)
        except BaseException as error:
            self.fail(error)


def pipeline_editor(
    load: Callable[[], ACEPipeline], sampler: SamplerSettings, resolution: Resolution | None
) -> Callable[[], Edit]:
    """A model as :func:`generate` takes it."""

    def open_editor() -> Edit:
        pipeline = load()
        settings = sampler.with_defaults(pipeline.defaults)

        def edit(context: LongContext, seed: int) -> Image.Image:
            result = pipeline(
                context,
                seed=seed,
                resolution=resolution,
                steps=settings.steps,
                guidance_scale=settings.guidance_scale,
                guidance_rescale=settings.guidance_rescale,
            )
            pixels = (result.images[0].clamp(0, 1) * 255).round().byte().cpu().numpy()
            return Image.fromarray(np.ascontiguousarray(pixels))

        return edit

    return open_editor


def _finished(session: Session, setting: Setting, folder: Path) -> bool:
    return all(result_path(folder, setting, turn).is_file() for turn in session.measured(setting))


def _begun(setting: Setting, folder: Path, session: Session) -> bool:
    return any(result_path(folder, setting, turn).is_file() for turn in session.turns)


def _answer(
    session: Session, setting: Setting, folder: Path, edit: Edit, seed: int, masks: bool, state: _State
) -> None:
    """All turns of a session that have no result yet, in order."""
    history: list[ConditionUnit] = []
    before: Image.Image | None = None
    for turn in session.turns:
        given = before if setting != "single" and before is not None else turn.source and turn.source()
        unit = make_unit(turn, given, masks, state.say)
        path = result_path(folder, setting, turn)
        if not path.is_file():
            context = LongContext(unit, history if setting == "history" else ())
            try:
                picture = edit(context.keep_rounds(_MOST_ROUNDS), _seed(seed, turn))
            except NotFiniteError as error:  # one turn that goes wrong says nothing about the others
                state.miss(turn, error)
                if setting == "single":
                    continue
                return
            with atomic_write(path) as temporary:
                picture.save(temporary, "PNG")
        if setting != "single":
            with Image.open(path) as picture:
                before = picture.convert("RGB")
            history.append(unit)


def make_unit(turn: Turn, source: Image.Image | None, masks: bool, notify: Notify = silent) -> ConditionUnit:
    """A turn as the model is asked it: the source is ``{image}``, references follow."""

    def told(message: str) -> None:
        notify(f"turn {turn.id}: {message}")

    pictures = [*([] if source is None else [source]), *(load() for load in turn.references)]
    images = []
    for number, picture in enumerate(pictures):
        mask = _mask(turn, picture) if masks and number == 0 and source is not None else None
        images.append(condition_image(_tensor(picture), mask, indicator(number), told))
    words = turn.instruction
    if images and not mentioned_images(words):
        words = f"{indicator(0)} {words}"
    return ConditionUnit(words, images)


def _mask(turn: Turn, picture: Image.Image) -> torch.Tensor | None:
    if turn.mask is None:
        return None
    mask = turn.mask().convert("L").resize(picture.size, Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(mask))[None].float() / 255.0


def _tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture.convert("RGB")))[None].float() / 255.0


def _seed(seed: int, turn: Turn) -> int:
    return (seed + zlib.crc32(turn.id.encode())) % 2**31
