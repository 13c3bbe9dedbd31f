"""`comfyui-ace label` from end to end, over scripted servers of each kind."""

from __future__ import annotations

import json

import pytest
from chat_server import chat_server, openai_reply
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.label.journal import LabelJournal
from comfyui_ace.training.vision_language.response_format import MEMORY
from label_models import Looking, scene_pair
from label_server import as_request, server
from labelled_scenes import edit_by_hand, group
from pair_factory import pair

PAIRS = 4


@pytest.fixture
def dataset(tmp_path, no_sync, monkeypatch) -> Dataset:
    monkeypatch.setenv(MEMORY, str(tmp_path / "memory.json"))
    made = Dataset.create(tmp_path, "pairs")
    for seed in range(PAIRS):
        assert made.append(scene_pair(seed, "red", "blue", ("left", "right", "top", "bottom")[seed])).stored
    assert made.append(pair(50)).stored  # an inverted one
    return made


def call(capsys, *arguments) -> tuple[int, dict]:
    code = main(["label", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        ("openai", lambda text: text),
        ("ollama", lambda text: text),
        ("openai", lambda text: f"<think>left or right?</think>\n```json\n{text}\n```"),
    ],
    ids=["openai", "ollama", "wrapped"],
)
def test_from_a_server_to_the_rows_and_back(dataset, capsys, kind, wrap):
    with chat_server(server(kind, wrap)) as (address, asked):
        code, found = call(capsys, "run", dataset.folder, "--server", address, "--forms", "imperative", "short")
        assert code == 0 and found["proposed"] == PAIRS + 1 and found["model"] == "eyes", found
        assert (found["invented"], found["shown_twice"], found["failed"]) == (0, PAIRS, {})
        assert found["prompt_tokens"] > 0
        count = len(asked)
        code, again = call(capsys, "run", dataset.folder, "--server", address, "--forms", "imperative", "short")
        assert again["known"] == PAIRS + 1 and not any(
            one.body and "differences" in json.dumps(one.body) for one in asked[count:]
        )
    code, preview = call(capsys, "write", dataset.folder)
    assert (code, preview["pairs"], preview["changed"]) == (0, PAIRS + 1, 0)
    assert call(capsys, "write", dataset.folder, "--apply")[1]["changed"] == PAIRS + 1
    rows = list(Dataset(dataset.folder).rows())
    assert all(len(row.all_instructions) >= 2 and "{image}" in row.instruction for row in rows)
    code, report = call(capsys, "report", dataset.folder)
    assert report["states"] == {"accepted by checks": PAIRS + 1} and report["tasks"] == {"invert": 1}
    code, out = call(capsys, "export", dataset.folder, dataset.folder.parent / "set", "--format", "ms-swift")
    assert (code, out["pairs"]) == (0, PAIRS + 1)
    assert call(capsys, "write", dataset.folder, "--undo")[1]["changed"] == PAIRS + 1
    assert all(row.instruction in ("{image} trigger", "{image} as a negative") for row in dataset.rows())


def test_a_dry_run_asks_nobody_and_says_how_much_there_is(dataset, capsys):
    code, found = call(capsys, "run", dataset.folder, "--dry-run", "--rewrites", "3", "--server", "http://127.0.0.1:9")
    assert (code, found["pairs"], found["tasks"]) == (0, PAIRS + 1, {"invert": 1})
    assert (found["least"], found["most"]) == (PAIRS * 7, PAIRS * 13), "a rewrite may have to be looked at alone"
    assert not (dataset.folder / "label").exists()


def test_only_the_sets_of_the_pairs_that_are_labelled_are_asked_about(dataset, capsys):
    ids = [row.id for row in dataset.rows()]
    group(dataset, {pair_id: f"set{number // 2}" for number, pair_id in enumerate(ids)})
    wishes = ("--sets", "--limit", "1", "--no-tasks", "--identical", "0", "--forms", "short", "--model", "eyes")
    with_sets = call(capsys, "run", dataset.folder, "--dry-run", *wishes)[1]
    without = call(capsys, "run", dataset.folder, "--dry-run", *wishes[1:])[1]
    assert (with_sets["least"], with_sets["most"]) == (without["least"] + 1, without["most"] + 1)
    with chat_server(server("openai")) as (address, asked):
        assert call(capsys, "run", dataset.folder, "--server", address, *wishes)[1]["proposed"] == 1
        assert sum('"shared"' in json.dumps((one.body or {}).get("response_format")) for one in asked) == 1
    label = LabelJournal(dataset.folder)[ids[0]].label
    assert label.in_set and label.shared == ("grey grain", "2 pictures of one kind")
    assert call(capsys, "run", dataset.folder, "--dry-run", *wishes)[1]["known"] == 1
    assert call(capsys, "run", dataset.folder, "--dry-run", *wishes[:-2])[1]["known"] == 1, "by that model, presumably"
    assert call(capsys, "run", dataset.folder, "--dry-run", "--rewrites", "2")[1]["pairs"] == PAIRS + 1, "other wishes"


def test_rows_that_somebody_changed_are_named_and_left(dataset, capsys):
    call(capsys, "run", dataset.folder)
    (inverted,) = (pair_id for pair_id, state in LabelJournal(dataset.folder).items() if state.waits)
    edit_by_hand(dataset, inverted, instruction="{image} as I say")
    for apply in ((), ("--apply",)):
        code, found = call(capsys, "write", dataset.folder, *apply)
        assert (code, found["changed"], list(found["left"])) == (0, 0, [inverted])
    assert main(["label", "write", str(dataset.folder)]) == 0
    assert f"{inverted}: its words were changed since the label was made" in capsys.readouterr().out
    assert call(capsys, "write", dataset.folder, "--apply", "--overwrite")[1]["changed"] == 1
    edit_by_hand(dataset, inverted, instruction="{image} once more")
    code, found = call(capsys, "write", dataset.folder, "--undo")
    assert (code, found["changed"], found["left"]) == (0, 0, {inverted: "it was changed since"})


def test_again_asks_the_server_again(dataset, capsys):
    with chat_server(server("openai")) as (address, asked):
        wishes = ("run", dataset.folder, "--server", address, "--identical", "0")
        call(capsys, *wishes)
        first = sum("differences" in json.dumps(one.body) for one in asked if one.body)
        call(capsys, *wishes, "--again")
        assert sum("differences" in json.dumps(one.body) for one in asked if one.body) == 2 * first


def test_without_a_server_only_what_pixels_tell(dataset, capsys):
    code, found = call(capsys, "run", dataset.folder)
    assert (code, found["proposed"]) == (0, 1) and sum(found["unlabelled"].values()) == PAIRS
    with chat_server(server("openai")) as (address, _):
        assert call(capsys, "run", dataset.folder, "--server", address)[1]["proposed"] == PAIRS


def test_recorded_answers_need_no_server(dataset, capsys):
    with chat_server(server("openai")) as (address, _):
        call(capsys, "run", dataset.folder, "--server", address)
    answers = dataset.folder.parent / "answers.jsonl"
    (dataset.folder / "label" / "answers.jsonl").rename(answers)
    (dataset.folder / "label" / "labels.jsonl").unlink()
    code, found = call(capsys, "run", dataset.folder, "--recorded", answers, "--model", "eyes")
    assert (code, found["proposed"], found["completion_tokens"]) == (0, PAIRS + 1, 0)


def test_a_server_that_answers_nonsense_gives_no_text(dataset, capsys):
    for number, nonsense in enumerate(("", "{}", '{"differences": [', '{"differences": "none"}')):
        with chat_server(server("openai", lambda _, said=nonsense: said)) as (address, _):
            code, found = call(capsys, "run", dataset.folder, "--server", address, "--again", "--rewrites", number)
        assert (code, found["unlabelled"]) == (0, {"compare": PAIRS})
    assert all(not state.label.texts or state.label.task for _, state in LabelJournal(dataset.folder).items())


def test_a_model_that_invents_is_named(dataset, capsys):
    invents = Looking(invents=True)

    def answer(one):
        reply = server("openai")(one)
        schema = json.dumps((one.body or {}).get("response_format"))
        return openai_reply(invents.ask(as_request(one)).text) if "differences" in schema else reply

    with chat_server(answer) as (address, _):
        code = main(["label", "run", str(dataset.folder), "--server", address])
    said = capsys.readouterr().out
    assert code == 0 and f"Of {PAIRS} pictures shown twice the model saw {PAIRS} differ: it invents" in said


def test_chains_are_listed_before_rows_change(dataset, capsys):
    first = dataset.append(scene_pair(70, "red", "blue", name="one"))
    second = dataset.append(scene_pair(70, "blue", "green", name="two"))
    code, found = call(capsys, "chains", dataset.folder)
    assert (code, found["chains"], found["changed"]) == (0, [[first.id, second.id]], 0)
    assert call(capsys, "chains", dataset.folder, "--apply")[1]["changed"] >= 1
    assert Dataset(dataset.folder).row(second.id).history == (first.id,)
    assert main(["label", "chains", str(dataset.folder), "--pairs", second.id, first.id]) == 1
