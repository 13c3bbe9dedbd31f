"""What a run looks for, with presets whose thresholds are the paper's where it tells them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .emit.examples import EmitSettings
from .emit.writing import WriteSettings
from .errors import MatchError
from .link.relation import Window
from .sets.refine import Limits

# The paper tells no threshold for features (section 3.1); these are ours. The layout descriptor gives unrelated pictures
# less than 0.4 in 999 of 1,000 pairs.
_WINDOWS = {"layout": Window(0.55), "style": Window(0.65)}
_ENCODER_WINDOW = Window(0.8, 0.97)


@dataclass(frozen=True)
class MatchSettings:
    """What a run is asked for.

    Attributes:
        folders: of the pictures; paths or addresses. Archives (.tar) in them are looked into.
        output: the run's folder or address; the same command with the same folder goes on.
        exclude: folders inside of these that are not looked into, beside the run's own: where the datasets lie.
        descriptor: see ``descriptors.registry``.
        window: similarities of features that pass in the first turn; None takes the descriptor's.
        similarity, second_window: of the second turn; None without one.
        most_compared: nearest pictures that the second turn compares each picture with.
        within_folders: pairs of one folder only.
        keep_largest: keep the largest set of each folder alone.
        limits: of the sizes of sets.
        near_copies: set nearly equal files aside, too, not only equal ones.
        exact_up_to: pictures up to which all are compared with all; above that by clusters.
        clusters, memberships: number of clusters, None for what costs least, and clusters of a picture.
        most_in_memory: links up to which groups are united on this machine.
        most_together: pictures of a linked group that are refined together.
        shard_pictures: of a shard.
        emit, write: how examples are made and written.
    """

    folders: tuple[str, ...]
    output: str
    exclude: tuple[str, ...] = ()
    descriptor: str = "layout"
    window: Window | None = None
    similarity: str | None = None
    second_window: Window | None = None
    most_compared: int = 32
    within_folders: bool = False
    keep_largest: bool = False
    limits: Limits = field(default_factory=Limits)
    near_copies: bool = True
    exact_up_to: int = 100_000
    clusters: int | None = None
    memberships: int = 4
    most_in_memory: int = 50_000_000
    most_together: int = 50_000
    shard_pictures: int = 1024
    emit: EmitSettings = field(default_factory=EmitSettings)
    write: WriteSettings = field(default_factory=WriteSettings)

    def __post_init__(self) -> None:
        if (self.similarity is None) != (self.second_window is None):
            raise MatchError(
                "A second turn needs both a similarity and its window, such as --similarity keypoints:0.1."
            )
        if self.keep_largest and not self.within_folders:
            raise MatchError("The largest set of each folder is kept only where pairs are looked for within folders.")
        if not 2 <= self.limits.smallest <= self.limits.largest:
            raise MatchError(f"A set has at least 2 pictures, and at most not fewer; got {self.limits}.")
        if not 1 <= self.memberships <= 16:
            raise MatchError(f"A picture is in 1 to 16 clusters, got {self.memberships}.")
        if min(self.shard_pictures, self.most_compared, self.most_together, self.clusters or 1) < 1:
            raise MatchError("Numbers of pictures and clusters are at least 1.")

    @property
    def first_window(self) -> Window:
        """The first turn's."""
        return self.window or _WINDOWS.get(self.descriptor, _ENCODER_WINDOW)


@dataclass(frozen=True)
class Preset:
    """What a preset decides; what a user says beside it wins. emit: fields of ``EmitSettings``."""

    summary: str
    values: dict[str, Any] = field(default_factory=dict)
    emit: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    "scene": Preset("the same scene from nearly the same place (the built-in layout descriptor)"),
    "face": Preset(
        "the same person in other pictures, 0.8-0.9 (App. B.4.1); needs --descriptor faces:…",
        {"window": Window(0.8, 0.9)},
    ),
    "aligned-face": Preset(
        "the same person in aligned portraits, above 0.65 (App. B.4.1); needs --descriptor faces:…",
        {"window": Window(0.65)},
    ),
    "style": Preset(
        "one style in each folder, above 0.65, only its largest set kept (App. B.4.2)",
        {
            "descriptor": "style",
            "window": Window(0.65),
            "within_folders": True,
            "keep_largest": True,
            # One set a folder: what does not fit is lost. A thousand have 500,000 pairs.
            "limits": Limits(largest=1000),
        },
    ),
    "series": Preset(
        "a target and 3 to 8 references of one set (App. B.8.1)",
        {"limits": Limits(smallest=4)},
        {"policy": "series", "references": (3, 8)},
    ),
    "rounds": Preset("walks through sets as histories (App. B.9)", {}, {"policy": "rounds"}),
}
_NEEDS_FACES = ("face", "aligned-face")


def with_preset(name: str, given: dict[str, Any], emit: dict[str, Any]) -> MatchSettings:
    """Settings of a preset, and over it what was given; None counts as not given.

    Raises:
        MatchError: an unknown preset, or values that contradict each other.
    """
    if name not in PRESETS:
        raise MatchError(f"There is no preset {name!r}; choose from {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    values = {**preset.values, **{key: value for key, value in given.items() if value is not None}}
    settings = MatchSettings(**values)
    emitted = {**preset.emit, **{key: value for key, value in emit.items() if value is not None}}
    if name in _NEEDS_FACES and settings.descriptor in _WINDOWS:
        raise MatchError(
            f"The preset {name} compares faces, which needs two files: "
            "--descriptor faces:DETECTOR.onnx,RECOGNISER.onnx (see docs/matching.md)."
        )
    return replace(settings, emit=EmitSettings(**emitted))


def describe(settings: MatchSettings) -> dict[str, str]:
    """All settings that differ from the usual ones, for the report."""
    usual = MatchSettings(settings.folders, settings.output)
    shown = {
        entry.name: getattr(settings, entry.name)
        for entry in fields(settings)
        if getattr(settings, entry.name) != getattr(usual, entry.name)
        and entry.name not in ("write", "window", "exclude")
    }
    return {"window": str(settings.first_window), **{name: str(value) for name, value in shown.items()}}


def default_output(folders: tuple[str, ...]) -> str:
    """``output/match/NAME``, named by the first folder."""
    name = os.path.basename(os.path.normpath(folders[0].rstrip("/"))) or "pictures"
    return os.path.join("output", "match", name)
