"""Is it still the same person? ACE's App. E: cosine of face embeddings, and the share of results above a threshold.

The paper's Face Similarity cannot be a mean of cosines: with an Effective Score of .16 at a threshold of .3493 that mean is
at most .453, and the table says .629. 50 · (1 + cosine) agrees with all its rows. So the cosine, that mapped value and
the Effective Score are each shown, and equality with the paper is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ....ace.files import checksum
from ..errors import EvaluationError
from .similarity import Undefined, Value

THRESHOLD = 0.3493  # mean .5258 less the deviation .1765 within identities of MS1M V3, ACE App. E
NO_FACE_BEFORE = Undefined("no face was found in the picture before the edit")
NO_FACE_AFTER = Undefined("no face was found in the result")
_LARGEST = 640  # pixels, of pictures in which faces are looked for
_SURE = 0.6  # of a detection


class FaceEncoder(Protocol):
    """Finds faces and says who they are.

    Attributes:
        name: with the weights' checksums.
    """

    name: str

    def embeddings(self, image: Image.Image) -> list[np.ndarray]:
        """One vector (D,) a face, the largest face first; empty where there is none."""
        ...


def face_cosine(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> Value:
    """The best match in the result with the largest face before the edit."""
    if not before:
        return NO_FACE_BEFORE
    if not after:
        return NO_FACE_AFTER
    wanted = before[0] / np.linalg.norm(before[0])
    return max(float(wanted @ (face / np.linalg.norm(face))) for face in after)


def mapped_similarity(cosine: float) -> float:
    """A cosine on the scale that agrees with the paper's Face Similarity: 50 · (1 + cosine)."""
    return 50.0 * (1.0 + cosine)


def is_effective(cosine: float) -> float:
    """1 where the cosine is above the paper's threshold."""
    return float(cosine > THRESHOLD)


class OpenCVFaces:
    """YuNet (MIT) finds faces, SFace (Apache-2.0) names them; both may be used commercially.

    Args:
        detector: the file face_detection_yunet_….onnx.
        recogniser: the file face_recognition_sface_….onnx.

    Raises:
        EvaluationError: a file or OpenCV is missing, or a file is something else.
    """

    def __init__(self, detector: Path, recogniser: Path) -> None:
        for path in (detector, recogniser):
            if not Path(path).is_file():
                raise EvaluationError(
                    f"there is no {path}. Faces are found by YuNet and named by SFace, two .onnx files of OpenCV's model "
                    "zoo; nothing is downloaded, give the files that you have"
                )
        try:
            import cv2
        except ImportError as error:
            raise EvaluationError("faces need the package opencv-python-headless") from error
        try:
            self._detector = cv2.FaceDetectorYN.create(str(detector), "", (320, 320), _SURE)
            self._recogniser = cv2.FaceRecognizerSF.create(str(recogniser), "")
        except cv2.error as error:
            raise EvaluationError(
                f"{detector} and {recogniser} are not the models of YuNet and SFace: {error}"
            ) from error
        self.name = (
            f"YuNet (sha256 {checksum(Path(detector))[:16]}…), SFace (sha256 {checksum(Path(recogniser))[:16]}…)"
        )

    def embeddings(self, image: Image.Image) -> list[np.ndarray]:
        image = image.convert("RGB")
        if max(image.size) > _LARGEST:
            image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.BICUBIC)
        pixels = np.ascontiguousarray(np.asarray(image)[..., ::-1])  # OpenCV's order of colours
        self._detector.setInputSize(image.size)
        _, faces = self._detector.detect(pixels)
        largest = sorted([] if faces is None else faces, key=lambda face: -face[2] * face[3])
        return [self._recogniser.feature(self._recogniser.alignCrop(pixels, face))[0].copy() for face in largest]
