"""Where a pair comes from: the graph that made it, stored once, without secrets, with the models it names.

``workflows/SHA256.json`` is the graph in API format, as ComfyUI takes it; ``workflows/SHA256.info.json`` beside it lists
the models, the node types with their versions where the host told them, and the fields that were left out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DatasetError
from ..disk.files import make_folder, write_atomic
from ..disk.storage import as_write_error, locked, safe_file
from .redaction import is_link, redact_graph

WORKFLOWS = "workflows"
VARIES = "[varies]"
_MODEL_SUFFIXES = (
    ".safetensors",
    ".sft",
    ".ckpt",
    ".pt",
    ".pt2",
    ".pth",
    ".bin",
    ".gguf",
    ".onnx",
    ".engine",
    ".pkl",
)
_MAX_GRAPH_BYTES = 32 << 20


@dataclass(frozen=True)
class SavedGraph:
    """A graph that is stored in a dataset.

    Attributes:
        hash: SHA-256 of its canonical JSON.
        models: model files that it names.
        removed: fields (``node.input``) whose secrets were left out.
        path: where it is.
    """

    hash: str
    models: tuple[str, ...]
    removed: tuple[str, ...]
    path: Path


def save_graph(
    folder: str | os.PathLike,
    graph: Mapping[str, Any],
    *,
    varying: Iterable[tuple[str, str]] = (),
    host: Mapping[str, Any] | None = None,
) -> SavedGraph:
    """Stores a graph in a dataset without its secrets, unless it is there already.

    Args:
        folder: of the dataset.
        graph: API format ({node id: {class_type, inputs}}).
        varying: (node id, input) whose values differ from pair to pair, such as the seed and the input file of a sweep;
            they are stored as "[varies]", so that a sweep over ten thousand files has one graph. See ``varying_inputs``.
        host: versions as the host knows them, for example {"comfyui": "0.8.0", "nodes": {"MyPack": "1.2"}}.

    Returns:
        Among others the hash, for ``Pair.workflow``.

    Raises:
        DatasetError: it is no graph in API format or too large, or it cannot be written.
    """
    check_graph(graph)
    clean, removed = redact_graph(_with_placeholders(graph, varying))
    text = canonical_json(clean)
    if len(text) > _MAX_GRAPH_BYTES:
        raise DatasetError(f"The graph has {len(text) / 1e6:.0f} MB as text, at most {_MAX_GRAPH_BYTES >> 20} MB.")
    digest = hashlib.sha256(text).hexdigest()
    models = models_in_graph(clean)
    base = Path(folder)
    path = base / WORKFLOWS / f"{digest}.json"
    saved = SavedGraph(digest, models, removed, path)
    if path.is_file():
        return saved
    nodes = sorted({node["class_type"] for node in clean.values()})
    info = {"models": models, "node_types": nodes, "removed": removed, "host": dict(host or {})}
    with locked(base):
        try:
            make_folder(base, WORKFLOWS)
            write_atomic(path.with_suffix(".info.json"), canonical_json(_redacted_info(info)))
            write_atomic(path, text)  # last, because its presence says that both are there
        except OSError as error:
            raise as_write_error(error, base) from error
    return saved


def load_graph(folder: str | os.PathLike, digest: str) -> dict[str, Any]:
    """Reads a stored graph and checks it against its hash.

    Raises:
        DatasetError: it is not there, or was changed.
    """
    path = safe_file(Path(folder), f"{WORKFLOWS}/{digest}.json")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"There is no graph {digest} in {folder}.") from error
    if hashlib.sha256(text).hexdigest() != digest:
        raise DatasetError(f"{path} was changed: its content does not have the hash in its name.")
    return json.loads(text)


def graph_hash(graph: Mapping[str, Any], *, varying: Iterable[tuple[str, str]] = ()) -> str:
    """The hash under which ``save_graph`` would store a graph.

    Raises:
        DatasetError: it is no graph in API format.
    """
    check_graph(graph)
    return hashlib.sha256(canonical_json(redact_graph(_with_placeholders(graph, varying))[0])).hexdigest()


def varying_inputs(graph: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The inputs that usually differ from pair to pair: seeds, and the files of image loaders.

    Returns:
        (node id, input) of each.

    Raises:
        DatasetError: it is no graph in API format.
    """
    check_graph(graph)
    found = []
    for node_id, node in graph.items():
        for name, value in node["inputs"].items():
            seed = name in ("seed", "noise_seed") and isinstance(value, int)
            file = node["class_type"].startswith("LoadImage") and name == "image" and isinstance(value, str)
            if seed or file:
                found.append((str(node_id), name))
    return found


def models_in_graph(graph: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of model files in the graph's widgets, sorted."""
    found: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, str):
            if value.lower().endswith(_MODEL_SUFFIXES) and len(value) < 300 and "\n" not in value:
                found.add(value)
        elif isinstance(value, Mapping):
            for entry in value.values():
                visit(entry)
        elif isinstance(value, list) and not is_link(value, graph):
            for entry in value:
                visit(entry)

    for node in graph.values():
        visit(node["inputs"])
    return tuple(sorted(found))


def check_graph(graph: Any) -> None:
    """Checks that a graph is in API format.

    Raises:
        DatasetError: it is not; the message says how to get it.
    """
    if isinstance(graph, Mapping) and isinstance(graph.get("nodes"), list):
        raise DatasetError("This is a workflow in UI format. Export it in API format: Workflow → Export (API).")
    if not isinstance(graph, Mapping) or not graph or not all(map(_is_node, graph.values())):
        raise DatasetError("A graph in API format maps node ids to objects with class_type and inputs.")


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, Mapping)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), Mapping)
    )


def canonical_json(value: Any) -> bytes:
    """JSON text that depends on the content alone: sorted keys, no white space, ASCII, no NaN.

    Raises:
        DatasetError: JSON cannot hold the value.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"The graph cannot be written as JSON: {error}.") from error
    return text.encode("ascii")


def _redacted_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """Version strings come from the host and its packs; they pass the same filter as widgets."""
    wrapped, _ = redact_graph({"info": {"class_type": "", "inputs": info}})
    return wrapped["info"]["inputs"]


def _with_placeholders(graph: Mapping[str, Any], varying: Iterable[tuple[str, str]]) -> dict[str, Any]:
    wanted = {(str(node_id), name) for node_id, name in varying}
    result = {}
    for node_id, node in graph.items():
        inputs = {name: VARIES if (str(node_id), name) in wanted else value for name, value in node["inputs"].items()}
        result[str(node_id)] = {**node, "inputs": inputs}
    return result
