"""What ComfyUI gives ACE Chat: its folders, its queue and its menus."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import folder_paths

from ..host import paths
from ..host.messages import send_to_pages
from ..host.routes import routes_without
from .answer import EVENT
from .dependencies import Dependencies, PromptState
from .routes import PREFIX, add_routes

_EXPORTS = "ACE Chat"  # in the output folder


def register() -> None:
    """Opens ``/ace/chats`` and what lies below it, and has prompts find the pictures of conversations."""
    from server import PromptServer

    routes = routes_without(PREFIX)
    if routes is None:
        return
    add_routes(
        routes,
        Dependencies(
            chats=_chats,
            users=_users,
            input_folder=lambda: Path(folder_paths.get_input_directory()),
            exports=lambda: Path(folder_paths.get_output_directory(), _EXPORTS),
            datasets=paths.datasets_root,
            choices=_choices,
            states=_states,
            announce=lambda chat_id: send_to_pages(EVENT, {"chat": chat_id}),
        ),
    )
    PromptServer.instance.add_on_prompt_handler(_provide)


def _users() -> Path:
    return Path(folder_paths.get_user_directory())


def _chats(request: Any) -> Path:
    """Raises ChatError: the server knows no such user."""
    from server import PromptServer

    from .conversation.errors import ChatError
    from .conversation.store import PLACE

    try:
        found = PromptServer.instance.user_manager.get_request_user_filepath(
            request, PLACE.as_posix(), create_dir=False
        )
    except KeyError as error:
        raise ChatError("This user is unknown to the server.") from error
    if found is None:
        raise ChatError("This user has no folder on the server.")
    return Path(found)


def _choices() -> dict[str, Any]:
    from ..recommended import widget_values
    from .conversation.tree import Settings

    def names(kind: str) -> list[str]:
        return folder_paths.get_filename_list(kind)

    recommended = {name: values["ACESampler"] for name, values in widget_values().items() if "ACESampler" in values}
    installed = [name for name in paths.bundle_names() if _is_installed(name)]
    return {
        "bundles": installed,
        "missing": [name for name in paths.bundle_names() if name not in installed],
        "models": paths.model_names(),
        "text_encoders": names("text_encoders"),
        "vaes": names("vae"),
        "loras": names("loras"),
        "datasets": paths.dataset_names(),
        "recommended": recommended,
        "defaults": {name: field.get_default() for name, field in Settings.model_fields.items()},
    }


def _is_installed(name: str) -> bool:
    try:
        return paths.installed_bundle(name) is not None
    except ValueError:  # it is there but incomplete, which is said when it is loaded
        return True


def _states(prompt_ids: Collection[str]) -> Mapping[str, PromptState]:
    from server import PromptServer

    if not prompt_ids:
        return {}
    queue = PromptServer.instance.prompt_queue
    running, waiting = queue.get_current_queue_volatile()
    known = {item[1]: PromptState("waiting") for item in waiting} | {
        item[1]: PromptState("running") for item in running
    }
    return {one: known.get(one) or _ended(queue.get_history(prompt_id=one).get(one)) for one in prompt_ids}


def _ended(entry: Mapping[str, Any] | None) -> PromptState:
    """What ComfyUI's history says of a prompt."""
    if entry is None:
        return PromptState("gone")
    status = entry.get("status") or {}
    messages = dict(status.get("messages") or ())
    if "execution_interrupted" in messages:
        return PromptState("stopped")
    if "execution_error" in messages:
        return PromptState("failed", str(messages["execution_error"].get("exception_message", "")).strip())
    times = [messages.get(kind, {}).get("timestamp") for kind in ("execution_start", "execution_success")]
    return PromptState("gone", seconds=None if None in times else max(0.0, (times[1] - times[0]) / 1000))


def _provide(request: dict[str, Any]) -> dict[str, Any]:
    """Copies pictures of conversations that a prompt loads, such as that of an old workflow, into the input folder."""
    prompt = request.get("prompt")
    names = [
        node["inputs"]["image"]
        for node in (prompt.values() if isinstance(prompt, dict) else ())
        if isinstance(node, dict)
        and isinstance(node.get("inputs"), dict)
        and isinstance(node["inputs"].get("image"), str)
    ]
    if any(name.startswith("ace-chat") for name in names):
        from .conversation.images import provide

        provide(names, _users(), Path(folder_paths.get_input_directory()))
    return request
