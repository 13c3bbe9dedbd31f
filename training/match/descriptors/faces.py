"""The one face in a picture, by ONNX files that the user has: a detector (YuNet) and a recogniser (ArcFace or SFace).

Pictures without a face, or with several, are set aside, as ACE does it (App. B.4.1: "images containing only one face").
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....ace.files import checksum
from ..errors import MatchError, SetAside
from ..optional import optional

_SIDE = 112
# Where eyes, nose and corners of the mouth lie in the pictures that these recognisers were trained on.
_PLACES = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
_LEAST_SCORE, _OVERLAP, _MOST_FOUND = 0.7, 0.3, 200
_SFACE_WIDTH = 128  # ArcFace and its kin have 512
_own = threading.local()  # OpenCV's networks keep state: one a thread


@dataclass(frozen=True)
class FaceFinder:
    """(H, W, 3) uint8 -> the face, turned and scaled to (112, 112, 3) uint8."""

    detector: str

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        cv2 = optional("cv2", "Finding faces")
        height, width = pixels.shape[:2]
        network = _network(self.detector, _open_detector)
        network.setInputSize((width, height))
        _, found = network.detect(np.ascontiguousarray(pixels[:, :, ::-1]))
        count = 0 if found is None else len(found)
        if count != 1:
            raise SetAside("no face found in it" if count == 0 else f"{count} faces in it; one is wanted")
        marks = found[0, 4:14].reshape(5, 2).astype(np.float64)
        return cv2.warpAffine(pixels, alignment(marks), (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class FaceDescriptor:
    """A face's vector. detector, recogniser: paths of ONNX files."""

    detector: str
    recogniser: str
    side: int = 640
    sees: str = (
        "It sees who it is, by the face alone: the same person with other clothes, light or surroundings. Pictures with "
        "no face or several are set aside."
    )

    def __post_init__(self) -> None:
        optional("cv2", "Comparing faces")
        for path in (self.detector, self.recogniser):
            if not Path(path).is_file():
                raise MatchError(
                    f"There is no file {path}. Faces need two ONNX files, given as faces:DETECTOR.onnx,RECOGNISER.onnx: "
                    "a YuNet detector, and an ArcFace or SFace recogniser."
                )

    @property
    def name(self) -> str:
        return f"faces ({Path(self.recogniser).stem})"

    @property
    def identity(self) -> str:
        return f"faces-1 {checksum(Path(self.detector))} {checksum(Path(self.recogniser))}"

    @property
    def dimension(self) -> int:
        return self.describe([np.zeros((_SIDE, _SIDE, 3), np.uint8)]).shape[1]

    @property
    def prepare(self) -> FaceFinder:
        return FaceFinder(self.detector)

    def describe(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        recogniser = _network(self.recogniser, _Recogniser)
        vectors = np.concatenate([recogniser(face) for face in prepared])  # published files have a fixed batch of one
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


class _Recogniser:
    """A face (112, 112, 3) uint8 -> (1, D). SFace takes bytes as they are, ArcFace and its kin -1 … 1."""

    def __init__(self, path: str):
        self._network = optional("cv2", "Comparing faces").dnn.readNetFromONNX(path)
        self._scale, self._middle = 1 / 127.5, 127.5
        if self(np.zeros((_SIDE, _SIDE, 3), np.uint8)).shape[1] == _SFACE_WIDTH:
            self._scale, self._middle = 1.0, 0.0

    def __call__(self, face: np.ndarray) -> np.ndarray:
        cv2 = optional("cv2", "Comparing faces")
        self._network.setInput(cv2.dnn.blobFromImage(face, self._scale, (_SIDE, _SIDE), (self._middle,) * 3))
        return self._network.forward().astype(np.float32)


def alignment(marks: np.ndarray) -> np.ndarray:
    """The turn, scale and shift (2, 3) that bring five marks (5, 2) nearest to where they are expected."""
    found, wanted = (points[:, 0] + 1j * points[:, 1] for points in (marks, _PLACES))
    centred = found - found.mean()
    factor = (np.conj(centred) * (wanted - wanted.mean())).sum() / (np.abs(centred) ** 2).sum()
    shift = wanted.mean() - factor * found.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def _network(path: str, load):
    """This thread's copy of a network.

    Raises:
        MatchError: OpenCV cannot load the file.
    """
    if not hasattr(_own, "networks"):
        _own.networks = {}
    if path not in _own.networks:
        try:
            _own.networks[path] = load(path)
        except Exception as error:  # OpenCV's own error type exists only once it is imported
            raise MatchError(f"{path} cannot be used: {error!s:.300}") from error
    return _own.networks[path]


def _open_detector(path: str):
    cv2 = optional("cv2", "Finding faces")
    return cv2.FaceDetectorYN.create(path, "", (320, 320), _LEAST_SCORE, _OVERLAP, _MOST_FOUND)
