"""A learning curve by halves: students of each half of the pairs, beside the one of all."""

from __future__ import annotations

from collections.abc import Callable

from .distil_config import DistilSettings
from .evaluate.evaluation import Evaluation
from .measuring import Measured, Stopped, measure_score, progress_or_stop
from .outlook import outlook_of_pairs
from .trainer.config import TrainConfig
from .trainer.errors import DataError
from .trainer.reporting import OnEvent, silent_event

HALVES = ("first half", "second half")


def learning_curve(
    settings: DistilSettings,
    config: TrainConfig,
    measured: Measured,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> list[str] | None:
    """Trains on each half of the pairs as the whole was trained, and compares on the same held-out pairs.

    The halves share no source. Their runs are in folders below the run's, and go on where they were stopped.

    Args:
        settings, config: of the distillation.
        measured: its student.
        on_event: gets "progress", and a "notice" where nothing could be measured.
        should_stop: asked at every step.

    Returns:
        one sentence; none where the pairs are too few to be halved or none is held out. None if somebody asked to stop.
    """
    full = measured.evaluation
    if full.split != "validation":
        on_event(
            {"event": "notice", "text": "no learning curve: no pair is held out, so there is nothing to measure on"}
        )
        return []
    halves: list[Evaluation] = []
    pairs = 0
    for number, subset in enumerate(HALVES):
        folder = config.output / subset.replace(" ", "-")
        half = config.model_copy(
            update={"output": folder, "data": config.data.model_copy(update={"subset": subset}), "plot": False}
        )
        try:
            found = _train_half(settings, half, measured, on_event, should_stop, number)
        except DataError as error:
            on_event({"event": "notice", "text": f"no learning curve: {error}"})
            return []
        if found is None:
            return None
        count, evaluation = found
        pairs += count
        halves.append(evaluation)
    return [outlook_of_pairs(full, halves, pairs)]


def _train_half(
    settings: DistilSettings,
    config: TrainConfig,
    measured: Measured,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
    number: int,
) -> tuple[int, Evaluation] | None:
    """How many pairs a half has, and what came of them; None if somebody asked to stop."""
    from .trainer.run import train

    pairs = 0

    def hear(event) -> None:
        nonlocal pairs
        if event["event"] == "start":
            pairs = event["pairs"]
        elif event["event"] == "step":
            done = number * config.steps + event["step"]
            on_event({"event": "progress", "what": "learning curve", "done": done, "total": len(HALVES) * config.steps})

    trained = train(config, on_event=hear, should_stop=should_stop)
    if not trained.finished:
        return None
    progress = progress_or_stop(silent_event, should_stop)
    try:
        return pairs, measure_score(settings, config, trained.path, measured.sampler, progress)
    except Stopped:
        return None
