"""The datasets that are being looked at: read once, then kept up to date."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from ...training.dataset.curation.catalogue import Catalogue
from ...training.dataset.disk.names import list_datasets, resolve_dataset
from ...training.label.journal import LabelJournal
from ...training.label.review import open_journal

_MOST = 4  # somebody looks at one, perhaps compares two


class OpenedDatasets:
    """Catalogues by folder, the ones used last."""

    def __init__(self, root: Callable[[], Path]):
        """Opens nothing yet.

        Args:
            root: gives the folder of all datasets, which may change while the server runs.
        """
        self._root = root
        self._lock = threading.Lock()
        self._catalogues: OrderedDict[Path, Catalogue] = OrderedDict()
        self._journals: dict[Path, LabelJournal] = {}

    def names(self) -> list[str]:
        """Names of all datasets."""
        return list_datasets(self._root())

    def open(self, name: str) -> Catalogue:
        """A dataset, as it is on disk now.

        Raises:
            DatasetNameError: the name leads elsewhere.
            DatasetError: there is no such dataset.
        """
        folder = resolve_dataset(self._root(), name)
        with self._lock:
            catalogue = self._catalogues.pop(folder, None)
            if catalogue is None or not (folder / "metadata.jsonl").is_file():
                catalogue = Catalogue(folder)
            self._catalogues[folder] = catalogue
            while len(self._catalogues) > _MOST:
                gone, _ = self._catalogues.popitem(last=False)
                self._journals.pop(gone, None)
        catalogue.refresh()
        return catalogue

    def labels(self, catalogue: Catalogue) -> LabelJournal:
        """The labels of an open dataset, as they are on disk now."""
        with self._lock:
            journal = self._journals.get(catalogue.folder)
            if journal is None:
                journal = self._journals[catalogue.folder] = open_journal(catalogue)
        journal.refresh()
        return journal
