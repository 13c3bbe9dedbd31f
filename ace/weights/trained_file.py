"""What the header of a file from `comfyui-ace train` says of its use, be it a LoRA or an EditNet."""

from __future__ import annotations

import json
from collections.abc import Mapping

from .presets import RecommendedSampling


class TrainedFile:
    """Base of what is read from such files; derived classes have the header as ``metadata``."""

    metadata: Mapping[str, str]

    @property
    def trigger(self) -> str:
        """The trigger words of the edit, if the file says them; else empty."""
        return self.metadata.get("trigger", "")

    @property
    def triggers(self) -> dict[str, str]:
        """Trigger words by edit, where one file has learnt several; else empty."""
        try:
            found = json.loads(self.metadata.get("triggers", "{}"))
        except ValueError:
            return {}
        return {str(name): str(words) for name, words in found.items()} if isinstance(found, dict) else {}

    @property
    def sampling(self) -> RecommendedSampling | None:
        """How it is best sampled at full strength, if the file says so."""
        return RecommendedSampling.from_metadata(self.metadata)

    @property
    def base_model(self) -> str:
        """Name of the model that it was trained on, for messages."""
        return self.metadata.get("base_model", "unknown")
