"""Tests that need the host's objects run in the host's own Python; here each of them shows up under its name."""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from comfyui_ace.ace.weights.checkpoint import load_model
from host.harness.comfy_server import PACK_ROOT, find_host
from host.harness.install.host_requirements import host_requirements
from host.harness.models.sensitive_bundle import make_sensitive_bundle
from safetensors.torch import save_file
from trained_adapters import KINDS, effective_weights, train_adapters, write_adapters

INSIDE = Path(__file__).with_name("inside")
_TESTS = [
    f"{path.stem}::{name}"
    for path in sorted(INSIDE.glob("test_*.py"))
    for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
]


def make_adapters(dit: Path, folder: Path) -> None:
    """Files of trained adapters of each kind, and the weights that training had; the host need not be able to train."""
    folder.mkdir()
    for kind, settings in KINDS.items():
        model = train_adapters(load_model(dit), settings)
        write_adapters(model, folder / f"{kind}.safetensors")
        save_file(effective_weights(model), folder / f"{kind}-weights.safetensors")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, list[str]]:
    """For each test, by file and name, the reasons why it (or some of its cases) failed; all are run in one go."""
    base = tmp_path_factory.mktemp("inside")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "ace-edit").symlink_to(PACK_ROOT, target_is_directory=True)
    bundle = make_sensitive_bundle(base / "models" / "ace" / "random")
    make_adapters(bundle.dit, base / "adapters")
    host, report = find_host(), base / "report.xml"
    options = ["-q", "-c", os.devnull, f"--rootdir={INSIDE}", f"--confcutdir={INSIDE}", "--import-mode=importlib"]
    options += ["-p", "no:cacheprovider"]
    command = [host.python, "-m", "pytest", *options, f"--junitxml={report}", f"--host={host.directory}"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(host_requirements(host.python) or "")}
    done = subprocess.run(
        [*map(str, command), f"--base={base}", str(INSIDE)],
        capture_output=True,
        text=True,
        timeout=500,
        env=env,
        cwd=base,
    )
    if not report.is_file():
        raise RuntimeError(f"no test ran in the host's Python:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname').rpartition('.')[2]}::{case.get('name').partition('[')[0]}"
        reasons = [f"{case.get('name')}\n{part.text}" for part in case if part.tag in ("failure", "error", "skipped")]
        found.setdefault(name, []).extend(reasons)
    return found


@pytest.mark.parametrize("name", _TESTS)
def test_inside(outcomes, name):
    assert name in outcomes, f"{name} did not run; these did: {sorted(outcomes)}"
    if outcomes[name]:
        pytest.fail("\n\n".join(outcomes[name]), pytrace=False)
