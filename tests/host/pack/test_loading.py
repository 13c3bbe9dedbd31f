"""The pack as ComfyUI loads it: cleanly, quickly, under any folder name, with every node explained."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host.harness.comfy_server import PACK_ROOT, find_host

PROBE = Path(__file__).parents[1] / "harness" / "install" / "import_probe.py"
# What takes seconds to import and is needed by few: to be imported by the function that uses it. ComfyUI itself has
# some of these in memory, which is no reason to rely on it.
HEAVY = {
    "accelerate",
    "datasets",
    "diffusers",
    "huggingface_hub",
    "kornia",
    "matplotlib",
    "peft",
    "pydantic",
    "sklearn",
    "skimage",
    "tensorboard",
    "transformers",
}
_HEAVY_PACK = """
import kornia
from comfy_api.latest import ComfyExtension

class Extension(ComfyExtension):
    async def get_node_list(self):
        import huggingface_hub
        return []

async def comfy_entrypoint():
    return Extension()
"""


@pytest.fixture(scope="module")
def imports(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """The import probe's findings for the pack ("ace") and for a pack that imports heavy modules ("heavy")."""
    base = tmp_path_factory.mktemp("probe")
    packs = {"ace": base / "custom_nodes" / "ace-edit", "heavy": base / "custom_nodes" / "heavy"}
    packs["heavy"].mkdir(parents=True)
    (packs["heavy"] / "__init__.py").write_text(_HEAVY_PACK)
    packs["ace"].symlink_to(PACK_ROOT, target_is_directory=True)
    host = find_host()
    report = base / "imports.json"
    command = [
        host.python,
        Path(__file__).parents[1] / "harness" / "install" / "import_probe.py",
        host.directory,
        base,
        report,
        *packs.values(),
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(report.read_text())
    return {name: found[str(path)] for name, path in packs.items()}


@pytest.fixture(scope="module")
def nodes(comfy) -> dict[str, dict[str, Any]]:
    """The schemas of the pack's nodes, as the browser gets them."""
    ours = {id_: info for id_, info in comfy.object_info().items() if info["python_module"] == "custom_nodes.ace-edit"}
    assert ours, f"the pack brought no nodes; its log: {comfy.startup_problems}"
    return ours


def _inputs(declared: dict[str, dict[str, Any]], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every input with its options, those of growing sockets and of dynamic combos included."""
    for group in ("required", "optional"):
        for name, spec in declared.get(group, {}).items():
            options = spec[1] if len(spec) > 1 else {}
            yield f"{path}.{name}", options
            if "template" in options:
                yield from _inputs(options["template"]["input"], f"{path}.{name}")
            for choice in options.get("options", []):
                if isinstance(choice, dict):
                    yield from _inputs(choice["inputs"], f"{path}.{name}={choice['key']}")


def test_loads_without_a_word_of_trouble(comfy, record_property):
    assert not comfy.imports["ace-edit"].failed
    assert comfy.startup_problems == []
    record_property("import_seconds_in_host", comfy.imports["ace-edit"].seconds)


def test_two_instances_do_not_break_each_other(start_comfy):
    packs = {"ace-edit": PACK_ROOT, "another_name": PACK_ROOT}
    with start_comfy(packs=packs) as server:
        assert {name: pack.failed for name, pack in server.imports.items()} == dict.fromkeys(packs, False)
        assert server.startup_problems == []
        # Both bring the same node ids; the pack that was loaded last keeps them all, so no graph mixes the two.
        owners = {info["python_module"] for id_, info in server.object_info().items() if id_.startswith("ACE")}
        assert owners in ({"custom_nodes.ace-edit"}, {"custom_nodes.another_name"})
        assert "Traceback" not in server.log_text()


def test_heavy_modules_wait_until_they_are_used(imports, record_property):
    ace = imports["ace"]
    record_property("import_seconds", round(ace["seconds"], 3))
    print(f"\nimport of the pack in ComfyUI's Python: {ace['seconds']:.3f} s; modules new to the host: {ace['new']}")
    assert HEAVY.isdisjoint(ace["by_pack"])
    assert HEAVY.isdisjoint(ace["new"])


def test_import_probe_sees_heavy_modules(imports):
    assert {"kornia", "huggingface_hub"} <= set(imports["heavy"]["by_pack"])
    assert "kornia" in imports["heavy"]["new"] + imports["ace"]["new"]


def test_probe_and_server_agree_on_the_nodes(imports, nodes):
    assert sorted(imports["ace"]["node_ids"]) == sorted(nodes)


def test_every_node_is_named_and_explained(nodes):
    for node_id, info in nodes.items():
        assert node_id.startswith("ACE"), node_id
        assert info["category"].split("/")[0] == "ACE Edit", (node_id, info["category"])
        assert len(info["description"].split()) >= 4, (node_id, info["description"])
        assert info["display_name"] not in ("", node_id), node_id
        assert len(set(info["output_name"])) == len(info["output_name"]), (node_id, info["output_name"])
    titles = [info["display_name"] for info in nodes.values()]
    assert len(set(titles)) == len(titles), titles


def test_every_input_has_a_tooltip(nodes):
    silent = [
        path
        for node_id, info in nodes.items()
        for path, options in _inputs(info["input"], node_id)
        if not options.get("tooltip", "").strip()
    ]
    assert silent == []


def test_no_text_is_rewritten_by_the_front_end(nodes):
    """Dynamic prompts would turn `{image1}` into `image1` before the server sees it."""
    dynamic = [
        path
        for node_id, info in nodes.items()
        for path, options in _inputs(info["input"], node_id)
        if options.get("dynamicPrompts")
    ]
    assert dynamic == []
