"""Graphs with capturing nodes, and the datasets that come of them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify
from host.harness.comfy_server import PACK_ROOT, ComfyServer, Graph, NodeRef
from PIL import Image

CHECKS_OFF = "no_op=off, near_duplicate=off"
_WAIT = 30.0
# For a server of one's own, since what it has cached matters.
PACKS = {"ace-edit": PACK_ROOT, "probe": Path(__file__).parent / "probe_pack"}


class NoisePictures:
    """Input files of noise, whose pixels are known."""

    def __init__(self, server: ComfyServer):
        self.server = server

    def __call__(self, seed: int, size: tuple[int, int] = (32, 24)) -> tuple[str, np.ndarray]:
        """Name and pixels (H, W, 3) of a picture of (width, height)."""
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        return self.server.upload_image(Image.fromarray(pixels), f"noise{seed}-{size[0]}.png"), pixels


class Gate:
    """A place in graphs where prompts wait until a test lets them on, however slow the machine is.

    A context, at whose end it is open: a test that fails holds nobody up.
    """

    def __init__(self, server: ComfyServer, name: str):
        self.name = name
        self._folder = server.base_dir / "gates" / name
        self._folder.mkdir(parents=True)
        self._tickets = 0

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def node(self, g: Graph, image) -> NodeRef:
        """Adds the place to a graph (the probe pack's ProbeGate)."""
        return g.node("ProbeGate", image=image, gate=self.name)

    def admit(self, prompts: int) -> None:
        """Lets so many prompts through."""
        for _ in range(prompts):
            self._tickets += 1
            (self._folder / f"ticket{self._tickets}").touch()

    def open(self) -> None:
        """Lets all prompts through from now on."""
        (self._folder / "open").touch()

    def wait_for_prompt(self) -> None:
        """Returns when a prompt has come and waits."""
        deadline = time.monotonic() + _WAIT
        while not (self._folder / "waiting").exists() or list(self._folder.glob("ticket*")):
            assert time.monotonic() < deadline, f"no prompt has come to {self.name}"
            time.sleep(0.02)


def datasets_root(server: ComfyServer) -> Path:
    """The folder of all datasets of a server."""
    return server.base_dir / "output" / "datasets"


def wait_for_pairs(server: ComfyServer, name: str, pairs: int, rejected: int = 0) -> Dataset:
    """Waits until a dataset holds so many pairs, a moment after the graph has ended, and checks that it is whole.

    Args:
        server: whose datasets are meant.
        name: of the dataset.
        pairs: how many it must come to hold.
        rejected: how many must be rejected.
    """
    folder = datasets_root(server) / name
    deadline = time.monotonic() + _WAIT
    while True:
        counts = Dataset(folder).counts() if folder.is_dir() else None
        if counts is not None and (counts.pairs, counts.rejected) == (pairs, rejected):
            break
        assert time.monotonic() < deadline, f"{counts} instead of {pairs} pairs and {rejected} rejected"
        time.sleep(0.02)
    result = verify(folder)
    assert result.ok, [str(fault) for fault in result.faults]
    return Dataset(folder)


def capture_source(g: Graph, image, index: int = 0, **more) -> NodeRef:
    """Adds a Capture Source."""
    return g.node("ACECaptureSource", image=image, index=index, **more)


def capture_result(g: Graph, image, dataset: str, **more) -> NodeRef:
    """Adds a Capture Result without an instruction of its own."""
    return g.node("ACECaptureResult", image=image, dataset=dataset, **{"instruction": "", **more})


def run_on(g: Graph, behind: NodeRef) -> None:
    """Lets the graph run on for two seconds after a marker, so that what it shows of the writing is shown within the run."""
    g.node("PreviewImage", images=g.node("ProbeSteps", image=behind, steps=40, seconds=0.05))


def inverse(pixels: np.ndarray) -> np.ndarray:
    """What core's ImageInvert makes of uint8 pixels."""
    return 255 - pixels


def results_by_source(dataset: Dataset) -> dict[bytes, list[np.ndarray]]:
    """Results by the bytes of their source."""
    found: dict[bytes, list[np.ndarray]] = {}
    for pair in dataset:
        found.setdefault(pair.source.tobytes(), []).append(pair.target)
    return found


def assert_inverses(dataset: Dataset, sources: list[np.ndarray]) -> None:
    """Each source is there once, with its own inverse and no other."""
    found = results_by_source(dataset)
    assert sorted(found) == sorted(source.tobytes() for source in sources)
    for source in sources:
        (target,) = found[source.tobytes()]
        np.testing.assert_array_equal(target, inverse(source))
