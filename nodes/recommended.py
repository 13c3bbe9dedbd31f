"""What the bundle or the adapter at hand recommends, as the numbers that nodes start with."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import folder_paths

from ..ace.bundles.bundle import BundleError
from ..ace.weights.containers import CheckpointError, read_safetensors_header
from ..ace.weights.presets import BundleDefaults, RecommendedSampling, preset_by_name
from .host import paths
from .host.routes import routes_without

ROUTE, ADAPTER_ROUTE = "/ace/bundles", "/ace/adapter"
_ADAPTERS = ("loras", paths.EDITNETS)  # folders of models


def recommended(name: str) -> BundleDefaults:
    """What a bundle recommends, be it on this machine or not."""
    try:
        found = paths.installed_bundle(name)
    except BundleError:  # said when it is loaded
        found = None
    return found.defaults if found is not None else preset_by_name(name) or BundleDefaults()


def widget_values() -> dict[str, dict[str, dict[str, Any]]]:
    """By bundle or file of Load Model, and by node id: widgets and the values that it recommends for them."""
    values = {name: _sampling(preset_by_name(name) or BundleDefaults()) for name in paths.model_names()}
    for name in paths.bundle_names():
        defaults = recommended(name)
        training = asdict(defaults.distillation)
        values[name] = {**_sampling(defaults), "ACEDistil": training, "ACETrain": training}
    return values


def adapter_values(folder: str, name: str) -> dict[str, dict[str, Any]]:
    """By node id: widgets and the values that a LoRA or an EditNet recommends; empty if it recommends nothing.

    Args:
        folder: "loras" or "model_patches".
        name: as in the menu of a loader.
    """
    file = folder_paths.get_full_path(folder, name) if folder in _ADAPTERS else None
    try:
        header = read_safetensors_header(Path(file)) if file else {}
    except (CheckpointError, OSError):  # said by the node that loads it; other formats recommend nothing
        return {}
    found = RecommendedSampling.from_metadata(header.get("__metadata__") or {})
    return {} if found is None else _sampling(found)


def _sampling(found: BundleDefaults | RecommendedSampling) -> dict[str, dict[str, Any]]:
    return {
        "ACESampler": {
            "steps": found.steps,
            "cfg": found.guidance_scale,
            "guidance_rescale": found.guidance_rescale,
        }
    }


def register() -> None:
    """Opens GET /ace/bundles and /ace/adapter, which say what each bundle, a LoRA and an EditNet recommend.

    web/recommended.js asks them.
    """
    from aiohttp import web

    routes = routes_without(ROUTE)
    if routes is None:
        return

    @routes.get(ROUTE)
    async def bundles(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(widget_values))

    @routes.get(ADAPTER_ROUTE)
    async def adapter(request: web.Request) -> web.Response:
        folder, name = request.query.get("folder", ""), request.query.get("name", "")
        return web.json_response(await asyncio.to_thread(adapter_values, folder, name))
