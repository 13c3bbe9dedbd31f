"""What a run is fed and measured on: stored pairs, a source that draws examples, or both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from .base_model import make_resolution
from .config import TrainConfig
from .data.augmentation import AugmentedBatches
from .data.batch_sampler import BatchSampler
from .data.batches import HeldOut, JoinedHeldOut, SampleStore, StoredBatches
from .data.cache import IndicatorItem
from .data.division import held_out_roles
from .data.drawn import DrawnBatches, ExampleEncoder, HeldOutStore, MixedBatches
from .data.examples import Example
from .data.source import source_digest
from .monitoring.validation import subsample, subsample_equally
from .preparation import Prepared


class DataModule:
    """Batches and held-out samples of a run.

    Args:
        prepared: examples, cache and source.
        accelerator: accelerate's; its processes share every batch.

    Attributes:
        batches: samples by the number of their batch.
        indicators: the I-Emb table, (rows, Y).
        prefetch_pays: whether a thread that prepares the next batch saves waiting.
    """

    def __init__(self, config: TrainConfig, prepared: Prepared, accelerator: Any) -> None:
        self.config, self.prepared = config, prepared
        self.memory = config.data.keep_in_memory_mb * 2**20
        self.indicators = prepared.cache.read(IndicatorItem())
        size, on_cpu = config.batch_size * accelerator.num_processes, accelerator.device.type == "cpu"
        self.encoder = None if prepared.source is None else self._make_encoder(accelerator.device)
        stored = self._make_stored(size) if prepared.examples.train else None
        if prepared.source is None:
            self.batches, self.prefetch_pays = stored, not (stored.store.resident and on_cpu)
            return
        settings = config.data.source
        drawn = DrawnBatches(prepared.source, self.encoder, size, passes=settings.passes, seed=config.seed)
        self.batches = drawn if stored is None else MixedBatches(stored, drawn, settings.share)
        self.prefetch_pays = not on_cpu

    def held_out(self, count: int) -> HeldOut | None:
        """At most ``count`` stored pairs, and ``count`` examples of the source where there is one; None if there is nothing.

        Raises:
            DataError: the source cannot draw one.
        """
        validation, source = self.prepared.examples.validation, self.prepared.source
        stored = self._store(self._choose(validation, count)) if validation else None
        if source is None:
            return stored
        drawn = HeldOutStore(source, self.encoder, count)
        return drawn if stored is None else JoinedHeldOut(stored, drawn)

    def deciding(self) -> SampleStore | None:
        """The held-out pairs that decide how long the run trains; None where they are too few to decide anything.

        Only stored pairs with a picture that is edited count: those of other kinds have no score.
        """
        settings = self.config.early_stopping
        roles = held_out_roles(self.config.data.datasets, settings.pairs)
        found = [
            example
            for example in self.prepared.examples.validation
            if example.edited is not None and (example.folder, example.id) in roles.deciding
        ]
        return self._store(self._choose(found, settings.max_examples)) if roles.can_decide and found else None

    def _choose(self, examples: Sequence[Example], count: int) -> list[Example]:
        if self.config.data.balance == "pairs":
            return subsample(examples, count)
        datasets: dict[str, list[Example]] = {}
        for example in examples:
            datasets.setdefault(example.dataset, []).append(example)
        return subsample_equally(list(datasets.values()), count)

    def _make_encoder(self, device: Any) -> ExampleEncoder:
        files, settings = self.prepared.files, self.config.resolution
        return ExampleEncoder(
            files.encoders.load_vae(device),
            files.encoders.load_text_encoder(device),
            make_resolution(settings, files.defaults),
            self.memory,
        )

    def _make_stored(self, size: int) -> StoredBatches | AugmentedBatches:
        examples, views = self.prepared.examples.train, self.prepared.examples.views
        groups = [example.folder for example in examples] if self.config.data.balance == "datasets" else None
        order = BatchSampler([example.layout for example in examples], size, self.config.seed, groups)
        if views:
            every = [view for one in views for view in (*one.whole, *one.cropped)]
            return AugmentedBatches(self._store(every), views, order, self.config.seed)
        return StoredBatches(self._store(examples), order, self.config.seed)

    def _store(self, examples: Sequence[Example]) -> SampleStore:
        return SampleStore(examples, self.prepared.cache, self.memory)


def data_digest(config: TrainConfig, prepared: Prepared) -> str:
    """SHA-256 over all pairs as they are used, and over what decides the drawn examples."""
    settings = config.data.source
    if settings is None:
        return prepared.examples.digest
    drawn = source_digest(settings.name, settings.options, prepared.source)
    return hashlib.sha256(f"{prepared.examples.digest}|{drawn}".encode()).hexdigest()
