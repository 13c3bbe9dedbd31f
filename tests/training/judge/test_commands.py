"""Judging from the command line: scores, weights, choices, pages."""

from __future__ import annotations

import json

import numpy as np
import pytest
from chat_server import Reply, chat_server, name_colours, openai_reply
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.judge import weights
from comfyui_ace.training.judge.ranking import comparisons, record_choice
from comfyui_ace.training.judge.report import report_on
from comfyui_ace.training.judge.scoring import measure_pixels, write_scores
from comfyui_ace.training.judge.weighing import report_with_page, weigh_dataset
from judging import PAIRS, scored_rows, weights_of
from pair_factory import pair


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def answer_all(one):
    if one.path == "/v1/models":
        return Reply({"data": [{"id": "eyes"}]})
    if one.body is None:
        return Reply({"error": "?"}, 404)
    pictures = one.pictures()
    if "first" in json.dumps(one.body["response_format"]):
        return openai_reply(name_colours(one))
    names = one.body["response_format"]["json_schema"]["schema"]["required"][1:]
    value = int(np.asarray(pictures[-1], dtype=np.uint32).sum() % 11)
    return openai_reply(json.dumps({"reasoning": "seen", **{name: (value + n) % 11 for n, name in enumerate(names)}}))


def test_the_commands_from_scores_to_weights_and_back(dataset, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ACE_SERVER_MEMORY", str(tmp_path / "servers.json"))
    monkeypatch.setenv("ACE_JUDGE_KEY", "secret-key")
    with chat_server(answer_all) as (address, asked):
        code, out, err = run(capsys, "judge", "score", dataset.folder, "--server", address, "--swaps", 0)
        assert code == 0 and "12 scored" in out
        assert f"pictures and instructions are sent to {address}/v1" in err
        assert all(one.headers.get("Authorization") == "Bearer secret-key" for one in asked)
        assert run(capsys, "judge", "score", dataset.folder, "--server", address, "--swaps", 0)[1].startswith(
            "eyes: 0 sc"
        )
    written = [path.read_text(errors="replace") for path in dataset.folder.rglob("*.json*")]
    assert not any("secret-key" in text for text in written)
    code, out, _ = run(capsys, "judge", "report", dataset.folder, "--json")
    report = json.loads(out)
    assert code == 0 and report["usable"] and report["scored"] == PAIRS
    page = (dataset.folder / "judge" / "eyes.html").read_text()
    assert "Nothing speaks against eyes" in page and page.count("data:image/jpeg") >= PAIRS
    before = weights_of(dataset)
    code, out, _ = run(capsys, "dataset", "weigh", dataset.folder, "--mode", "top", "--share", "0.5")
    assert code == 0 and "Nothing was changed" in out and weights_of(dataset) == before
    assert "Only just left out" in (dataset.folder / "judge" / "weights.html").read_text()
    code, out, _ = run(capsys, "dataset", "weigh", dataset.folder, "--mode", "top", "--share", "0.5", "--apply")
    assert code == 0 and weights_of(dataset) != before
    assert run(capsys, "dataset", "weigh", dataset.folder, "--undo")[0] == 0 and weights_of(dataset) == before
    assert run(capsys, "dataset", "check", dataset.folder)[0] == 0, "what the judge keeps in the folder is no fault"


def test_a_bad_judge_is_refused_unless_forced(dataset, capsys):
    scored_rows(dataset, [9.0] * 12)
    code, out, _ = run(capsys, "judge", "report", dataset.folder)
    assert code == 1 and "should not decide what is learnt" in out
    code, _, err = run(capsys, "dataset", "weigh", dataset.folder, "--apply")
    assert code == 1 and "--force" in err and set(weights_of(dataset)) == {1.0}
    assert run(capsys, "dataset", "weigh", dataset.folder, "--apply", "--force")[0] == 0


def test_without_a_server_the_pixels_judge(dataset, capsys):
    code, out, err = run(capsys, "judge", "score", dataset.folder)
    assert code == 0 and "pixels alone" in err and f"looked at {PAIRS} pairs" in out
    code, out, _ = run(capsys, "judge", "report", dataset.folder)
    assert code == 0 and f"pairs looked at: {PAIRS}" in out and "never whether the edit was done" in out
    code, out, _ = run(capsys, "dataset", "weigh", dataset.folder, "--mode", "rank", "--json")
    assert code == 0 and json.loads(out)["judge"] == "pixels"


def test_pages_say_what_the_pixels_show(tmp_path, no_sync):
    """Each fault in an artist's words beside its picture, the worst at the top, and no pair twice."""
    made = Dataset.create(tmp_path, "faulty", checks=CheckSettings(no_op=False))
    for seed in range(6):
        whole = pair(seed)
        spoilt = whole.source if seed == 4 else whole.target
        made.append(Pair(source=whole.source, target=spoilt, instruction=whole.instruction))
    assert measure_pixels(made) == 6
    unchanged = next(row.id for row in made.rows() if row.scores["pixels"]["unchanged"] == 1.0)
    report, page = report_with_page(made, "pixels")
    assert report.usable and report.faults["unchanged"] == 1 and sum(report.faults.values()) == 1
    assert report.scored == 6 and report.at_least_9 == pytest.approx(5 / 6)
    text = page.read_text()
    assert "found unchanged in 1" in text and text.index("nothing was changed 100 %") < text.index(unchanged)
    assert min(made.rows(), key=lambda row: text.index(f">{row.id}<")).id == unchanged
    assert all(text.count(f">{row.id}<") == 1 for row in made.rows())
    _, page, _ = weigh_dataset(made, weights.WeightSettings("pixels", "threshold", 5.0), change=False)
    text = page.read_text()
    assert text.index("Only just left out") < text.index(unchanged) < text.index("Only just kept")
    assert "nothing was changed 100 %" in text and all(text.count(f">{row.id}<") == 1 for row in made.rows())


def test_scores_of_another_program_are_reported(dataset):
    """O alone, without questions: it can be held against the artist's own order, and is refused if it contradicts it."""
    rows = [row.id for row in dataset.rows()]
    for place in range(1, len(rows)):
        record_choice(dataset, rows[place - 1], rows[place], rows[place])
    write_scores(dataset, "other", {pair: {"o_score": float(place) / 2} for place, pair in enumerate(rows)})
    write_scores(dataset, "contrary", {pair: {"o_score": 8 - float(place) / 2} for place, pair in enumerate(rows)})
    found = report_on(dataset, "other")
    assert found.usable and found.ranking.rho > 0.9 and found.scored == PAIRS and found.means["sc"] is None
    contrary = report_on(dataset, "contrary")
    assert not contrary.usable and "does not agree with your own order" in contrary.objections[0]
    assert not report_on(dataset, "nobody").usable


def test_choices_can_be_made_from_the_command_line(dataset, capsys):
    first, second = json.loads(run(capsys, "judge", "compare", dataset.folder, "--json")[1])["next"]
    value = json.loads(run(capsys, "judge", "compare", dataset.folder, "--choose", first, second, second, "--json")[1])
    assert value["made"] == 1 and comparisons(dataset)[0].better == second


def test_the_judge_is_named_where_there_are_several(dataset, capsys):
    scored_rows(dataset, [9.0] * 12)
    write_scores(dataset, "other", {row.id: row.scores["eyes"] for row in dataset.rows()})
    code, _, err = run(capsys, "judge", "report", dataset.folder)
    assert code == 1 and "eyes, other" in err


def test_what_could_not_be_read_is_asked_anew_although_it_was_recorded(dataset, capsys, tmp_path, monkeypatch):
    """The same question to the same model: only a server that was set up anew answers it in another way."""
    monkeypatch.setenv("ACE_SERVER_MEMORY", str(tmp_path / "servers.json"))
    short = []

    def reply(one):
        marking = one.body is not None and "reasoning" in json.dumps(one.body["response_format"])
        return openai_reply("{") if short and marking else answer_all(one)

    with chat_server(reply) as (address, _):
        command = ("judge", "score", dataset.folder, "--server", address, "--swaps", 0, "--json")
        short.append("of context")
        assert json.loads(run(capsys, *command)[1])["unscored"] == PAIRS
        short.clear()
        assert json.loads(run(capsys, *command)[1])["known"] == PAIRS
        assert json.loads(run(capsys, *command, "--again")[1])["scored"] == PAIRS
