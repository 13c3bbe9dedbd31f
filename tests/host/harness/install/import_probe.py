"""Load packs as ComfyUI does and write down what that imports. Run by the host's Python: not a test, not a module.

python import_probe.py COMFYUI_DIR BASE_DIR REPORT.json PACK_DIR...
"""

import asyncio
import builtins
import importlib
import importlib.util
import json
import os
import sys
import time


def start_host(directory, base_dir):
    """The modules that a running ComfyUI has in memory before it loads packs."""
    sys.path[0] = directory
    os.chdir(directory)
    sys.argv = ["main.py", "--cpu", "--disable-api-nodes", "--base-directory", base_dir]
    importlib.import_module("comfy.options").enable_args_parsing()
    # The order is main.py's: nodes.py puts comfy/ on the path, whose utils.py would then win over utils/.
    for name in ("utils.extra_config", "nodes", "comfy_api.latest"):
        importlib.import_module(name)
    # Packs may add routes to the server while they are imported.
    importlib.import_module("server").PromptServer(asyncio.new_event_loop())


async def load(pack_dir):
    """What nodes.py's load_custom_node does with a V3 pack; returns the ids of its nodes."""
    name = pack_dir.replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, os.path.join(pack_dir, "__init__.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    extension = await module.comfy_entrypoint()
    return [node.GET_SCHEMA().node_id for node in await extension.get_node_list()]


def probe(pack_dir):
    """Load one pack.

    ``by_pack``: every absolute import statement run in its own modules, also of modules that the host had in memory
    already; ``new``: top-level modules that were not in memory before.
    """
    by_pack = set()
    original = builtins.__import__
    prefix = pack_dir.replace(".", "_x_")

    def record(name, globals=None, locals=None, fromlist=(), level=0):
        if level == 0 and globals is not None and str(globals.get("__name__", "")).startswith(prefix):
            by_pack.add(name.partition(".")[0])
        return original(name, globals, locals, fromlist, level)

    before = {name.partition(".")[0] for name in sys.modules}
    builtins.__import__ = record
    start = time.perf_counter()
    try:
        node_ids = asyncio.run(load(pack_dir))
    finally:
        seconds = time.perf_counter() - start
        builtins.__import__ = original
    new = {name.partition(".")[0] for name in sys.modules if not name.startswith(prefix)} - before
    return {"node_ids": node_ids, "seconds": seconds, "by_pack": sorted(by_pack), "new": sorted(new)}


if __name__ == "__main__":
    _, host_dir, base, report, *packs = sys.argv
    start_host(host_dir, base)
    results = {pack: probe(pack) for pack in packs}
    with open(report, "w", encoding="utf-8") as file:
        json.dump(results, file)
