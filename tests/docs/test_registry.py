"""What is published: the list of files, what the registry reads of the project, and the workflows that do it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from comfyui_ace.commands.version import describe_versions, pack_version
from docs.manual import REPOSITORY, page
from PIL import Image
from repository import ROOT, repository_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDED = {"__init__.py", "__main__.py", "cli.py", "LICENSE", "README.md", "pyproject.toml", "requirements.txt"}
# Rooms in which everything that is in the repository is served.
WHOLE = ("ace", "nodes", "commands", "web", "locales", "workflows", "subgraphs", "bundles")
LEFT_OUT = ("tests/", "tools/", "benchmarks/", "docs/images/", ".github/", ".ci/", "Makefile")
MOST_BYTES = 32_000_000
_RASTER = {"PNG", "JPEG", "GIF"}


@cache
def archive() -> frozenset[str]:
    """What comfy-cli packs: tracked files that .comfyignore does not name. Its syntax is .gitignore's, so git reads it."""
    ignored = subprocess.run(
        ["git", "ls-files", "-z", "-cio", "--exclude-from=.comfyignore"], cwd=ROOT, capture_output=True, text=True
    )
    if ignored.returncode:
        pytest.skip("no git repository here")
    return repository_files() - set(ignored.stdout.split("\0"))


def test_the_pack_is_served_whole():
    assert archive() >= NEEDED
    for room in WHOLE:
        there = {name for name in repository_files() if name.startswith(f"{room}/")}
        assert there and there <= archive(), room
    code = {
        name
        for name in repository_files()
        if name.startswith("training/") and not name.startswith(("training/tiny/curves/", "training/tiny/tasks"))
    }
    assert code and code <= archive()


def test_nothing_else_is_served():
    assert [name for name in archive() if name.startswith(LEFT_OUT)] == []
    beside = {name for name in archive() if "/" not in name} - NEEDED
    assert beside == {"CHANGELOG.md", "CONTRIBUTING.md"}
    size = sum((ROOT / name).stat().st_size for name in archive())
    assert size < MOST_BYTES, f"{size / 1e6:.1f} MB"


def test_the_list_of_what_is_left_out_can_be_read_by_all():
    """comfy-cli reads negations otherwise than git does, and asks git for names without undoing its quotation marks."""
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("!") or line != line.strip()] == []
    assert [name for name in repository_files() if not name.isascii() or set(name) & set('"\\\t')] == []


def test_what_is_served_works_by_itself(tmp_path):
    """The command line, and the message where something is not served."""
    for name in archive():
        if name.endswith((".py", ".toml", ".json")) and not name.startswith(("web/", "workflows/", "subgraphs/")):
            target = tmp_path / "ace-edit" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)  # a link would lead back to what is not served
    told = _run(tmp_path / "ace-edit", "--version")
    assert told.stdout.startswith(f"ACE Edit {PROJECT['project']['version']}\n")
    measured = _run(tmp_path / "ace-edit", "benchmark", "--quick")
    assert measured.returncode == 1 and f"clone {REPOSITORY}" in measured.stderr


def _run(pack: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The pack's folder as a program, in a Python that has not the pack installed, as ComfyUI's has not."""
    code = (
        "import runpy, sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in f.__module__.lower()];"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(pack), *words]
    return subprocess.run(command, cwd=pack.parent, capture_output=True, text=True, timeout=300)


# -- what the registry reads ------------------------------------------------------------------------------------------


def test_the_project_is_described_as_the_registry_wants_it():
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*", project["name"]) and "comfyui" not in project["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"]) and len(project["description"]) > 40
    assert (ROOT / project["license"]["file"]).is_file()
    assert project["urls"]["Repository"] == REPOSITORY
    assert {"Homepage", "Documentation", "Issues"} <= set(project["urls"])
    assert set(comfy) >= {"PublisherId", "DisplayName", "Icon", "requires-comfyui"}
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    systems = {name for name in project["classifiers"] if name.startswith("Operating System ::")}
    assert systems == {"Operating System :: OS Independent"}
    chips = {
        name.removeprefix("Environment :: ") for name in project["classifiers"] if name.startswith("Environment ::")
    }
    # One that the registry does not know voids the list.
    assert chips <= {"GPU :: NVIDIA CUDA", "GPU :: AMD ROCm", "GPU :: Intel Arc", "GPU :: Apple Metal"} and chips


def test_the_icon_is_a_picture_of_the_repository():
    place = "https://raw.githubusercontent.com/ace-edit/ace-edit/main/"
    icon = PROJECT["tool"]["comfy"]["Icon"].removeprefix(place)
    with Image.open(ROOT / icon) as picture:
        assert picture.format in _RASTER and picture.width == picture.height <= 400


def test_requirements_are_what_the_host_lacks():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split("\n")
    names = {re.match(r"[\w.-]+", line)[0] for line in lines if line.strip()}
    wanted = {re.match(r"[\w.-]+", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert names <= wanted and not names & {"torch", "numpy", "transformers", "comfyui"}


def test_the_registry_finds_nothing_forbidden():
    """The rules that `comfy node validate` runs over the whole repository: exec, eval, several statements on a line."""
    command = [sys.executable, "-m", "ruff", "check", ".", "-q", "--select", "S102,S307,E702"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_versions_agree():
    assert pack_version() == PROJECT["project"]["version"]
    assert describe_versions().splitlines()[0] == f"ACE Edit {pack_version()}" and "torch 2" in describe_versions()


def test_the_changelog_can_be_read():
    text = page("CHANGELOG.md").text
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    names, dates = [name for name, _ in versions], [date for _, date in versions]
    assert names[0] == "Unreleased" and not dates[0] and all(dates[1:]) and dates[1:] == sorted(dates[1:], reverse=True)
    assert all(f"[{name}]: {REPOSITORY}/" in text for name in names)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Compatibility"}


# -- workflows and forms ----------------------------------------------------------------------------------------------


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["tests.yml", "publish.yml"])
def test_workflows_are_complete(name):
    workflow = load(f"workflows/{name}")
    assert {"name", True, "jobs", "permissions"} <= set(workflow)  # True: what YAML makes of "on"
    for job in workflow["jobs"].values():
        assert {"runs-on", "steps", "timeout-minutes"} <= set(job)
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
            for target in re.findall(r"^make (\S+)", step.get("run", ""), re.MULTILINE):
                assert re.search(rf"^{target}: ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_what_is_tested_is_what_is_supported():
    jobs = load("workflows/tests.yml")["jobs"]
    assert jobs["linux"]["strategy"]["matrix"]["python"][0] == PROJECT["project"]["requires-python"].removeprefix(">=")
    hosts = jobs["host"]["strategy"]["matrix"]["comfyui"]
    assert PROJECT["tool"]["comfy"]["requires-comfyui"] == f">={hosts[0]}"
    assert all(host in page("CONTRIBUTING.md").text for host in hosts)


@pytest.mark.skipif(os.name == "nt", reason="the step runs on Linux")
def test_only_a_new_version_is_published(tmp_path):
    """The script of the step, run in a repository with two commits."""
    steps = load("workflows/publish.yml")["jobs"]["publish"]["steps"]
    (script,) = (step["run"] for step in steps if step.get("id") == "version")
    assert "steps.version.outputs.changed" in steps[-1]["if"]

    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    def decide(text: str) -> str:
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        git("add", ".")
        git("commit", "-m", "x")
        output = tmp_path / "output"
        output.write_text("")
        environment = {"GITHUB_OUTPUT": str(output), "PATH": "/usr/bin:/bin", "BEFORE": ""}
        subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
        return output.read_text().strip()

    git("init", "-q")
    assert decide('[project]\nversion = "1.0.0"\n') == "changed=true"
    assert decide('[project]\nversion = "1.0.0"\nname = "a"\n') == "changed=false"
    assert decide('[project]\nversion = "1.0.1"\nname = "a"\n') == "changed=true"


def test_forms_ask_for_what_a_report_needs():
    bug = load("ISSUE_TEMPLATE/bug.yml")
    asked = {field["id"]: field.get("validations", {}).get("required", False) for field in bug["body"]}
    assert asked["versions"] and asked["log"] and "workflow" in asked
    for name in ("bug.yml", "feature.yml"):
        form = load(f"ISSUE_TEMPLATE/{name}")
        assert {"name", "description", "body"} <= set(form)
        assert all(
            field["type"] in ("textarea", "input", "dropdown", "checkboxes", "markdown") for field in form["body"]
        )
        identifiers = [field["id"] for field in form["body"]]
        assert len(identifiers) == len(set(identifiers))
    contacts = load("ISSUE_TEMPLATE/config.yml")["contact_links"]
    assert all({"name", "url", "about"} == set(contact) for contact in contacts)
    assert json.dumps(contacts).count(REPOSITORY) == len(contacts)
