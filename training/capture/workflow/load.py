"""Workflow files, in either of ComfyUI's formats, opened as a prompt."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ....ace.text_files import TextEncodingError, decode_text
from ..errors import EXPORT_ADVICE, WorkflowError
from .embedded import BEGIN_BYTES, embedded_workflow, is_picture_file
from .graph import Workflow, check_prompt, unknown_type_message
from .ui_graph import graph_to_prompt

MAX_FILE_BYTES = 64 << 20
MAX_PICTURE_BYTES = 2 << 30


def read_workflow(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the JSON object in a workflow file, or in a picture that ComfyUI saved with its workflow.

    Raises:
        WorkflowError: there is none.
    """
    try:
        content = _read(path)
        if is_picture_file(content):
            return _from_picture(content, path)
        data = json.loads(decode_text(content, str(path)))
    except OSError as error:
        raise WorkflowError(f"{path} cannot be read: {error.strerror or error}.") from error
    except TextEncodingError as error:
        raise WorkflowError(f"{path} is not a workflow: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise WorkflowError(f"{path} is not a workflow: it is not JSON ({error}).") from error
    if not isinstance(data, dict):
        raise WorkflowError(f"{path} is not a workflow: expected a JSON object, got {type(data).__name__}.")
    return data


def _read(path: str | os.PathLike) -> bytes:
    """All of a file that is no larger than a workflow, or a picture with one inside, can be."""
    with open(path, "rb") as file:
        begin = file.read(BEGIN_BYTES)
        what, most = ("picture", MAX_PICTURE_BYTES) if is_picture_file(begin) else ("workflow", MAX_FILE_BYTES)
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise WorkflowError(f"{path} has {size / 1e6:.0f} MB; a {what} has at most {most >> 20} MB.")
        return begin + file.read()


def _from_picture(content: bytes, path: str | os.PathLike) -> dict[str, Any]:
    found = embedded_workflow(content)
    if found is None:
        raise WorkflowError(
            f"{path} is a picture without a workflow inside: programs that edit pictures, and sites that share them, "
            f"throw it away. Use the picture as ComfyUI saved it, or the workflow. {EXPORT_ADVICE}"
        )
    return found


def is_ui_format(data: Mapping[str, Any]) -> bool:
    """Whether this is what File → Save writes, as opposed to Workflow → Export (API)."""
    return isinstance(data.get("nodes"), list) and "links" in data


def load_workflow(data: Mapping[str, Any], object_info: Mapping[str, Any] | None = None) -> Workflow:
    """Opens a workflow of either format as a prompt.

    Args:
        object_info: the server's node schemas, needed for the UI format.

    Raises:
        WorkflowError: neither format, or a form that only the browser can convert.
    """
    if is_ui_format(data):
        if object_info is None:
            raise WorkflowError(
                f"A workflow in UI format is converted with the help of a running server. {EXPORT_ADVICE}"
            )
        return graph_to_prompt(data, object_info)
    prompt = data["prompt"] if isinstance(data.get("prompt"), dict) and "class_type" not in data["prompt"] else data
    checked = check_prompt(prompt)
    kinds = {id_: node["class_type"] for id_, node in checked.items()}
    unknown = {id_: kind for id_, kind in kinds.items() if object_info is not None and kind not in object_info}
    return Workflow(checked, {id_: unknown_type_message(kind) for id_, kind in unknown.items()})
