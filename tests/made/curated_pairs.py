"""What the tests of curation look at: ids, versions, rows and files."""

from comfyui_ace.training.dataset.curation.catalogue import Catalogue
from comfyui_ace.training.dataset.curation.thumbnails import FOLDER
from comfyui_ace.training.dataset.disk.changes import HISTORY
from comfyui_ace.training.dataset.store import Dataset


def ids(catalogue: Catalogue) -> list[str]:
    return [entry.id for entry in catalogue]


def seen(catalogue: Catalogue, *wanted: str) -> dict[str, str]:
    return {pair_id: catalogue.entry(pair_id).digest for pair_id in wanted}


def files(folder) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return found - {".lock", HISTORY} - {name for name in found if name.startswith(FOLDER)}


def rows_of(dataset: Dataset) -> list[str]:
    return [row.to_json() for row in dataset.rows()]
