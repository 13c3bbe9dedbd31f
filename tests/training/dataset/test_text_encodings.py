"""Captions, tables and configurations in any encoding: read for certain, or refused by name. Never a lost letter."""

import json
from dataclasses import replace

import pytest
from comfyui_ace.ace.lcu.rounds import StoredImage, StoredRound, load_rounds, save_rounds
from comfyui_ace.ace.text_files import LOST_LETTER, TextEncodingError, decode_text, read_text
from comfyui_ace.cli import main
from comfyui_ace.training.capture.workflow.load import read_workflow
from comfyui_ace.training.dataset.disk.rows import check_id
from comfyui_ace.training.dataset.importers import ImportOptions, import_pairs
from comfyui_ace.training.dataset.intake.wording import plain_prompt
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.dataset.upkeep.repair import repair
from comfyui_ace.training.dataset.upkeep.verify import verify
from comfyui_ace.training.errors import DatasetError, PairError
from comfyui_ace.training.trainer.config_file import read_toml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pair_factory import pair, picture
from PIL import Image

pytestmark = pytest.mark.usefixtures("no_sync")

WORDS = "mach es grün, bitte – 把天空变成夜晚"
CERTAIN = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
UNMARKED = ("utf-16-le", "utf-16-be")
UNCERTAIN = {
    "cp1252": "mach es grün – “bitte”",
    "latin-1": "mach es grün",
    "gb18030": "把天空变成夜晚",
    "shift_jis": "空を夜にする",
    "euc_kr": "하늘을 밤으로",
    "iso2022_jp": "空を夜にする",
    "mac_roman": "mach es grün",
}


@pytest.mark.parametrize("encoding", CERTAIN)
def test_what_has_a_mark_or_is_utf8_is_read(encoding):
    assert decode_text(WORDS.encode(encoding), "a.txt") == WORDS


@pytest.mark.parametrize("encoding", UNMARKED)
def test_utf16_without_a_mark_is_told_by_its_latin_letters(encoding):
    assert decode_text(WORDS.encode(encoding), "a.txt") == WORDS
    with pytest.raises(TextEncodingError, match=r"a\.txt"):
        decode_text("把天空变成夜晚".encode(encoding), "a.txt")


@pytest.mark.parametrize("encoding", UNCERTAIN)
def test_the_rest_is_refused_by_name_and_read_when_its_encoding_is_said(encoding):
    data = UNCERTAIN[encoding].encode(encoding)
    with pytest.raises(TextEncodingError, match=r"a\.txt is not UTF-8 text.*Save it as UTF-8"):
        decode_text(data, "a.txt")
    assert decode_text(data, "a.txt", encoding) == UNCERTAIN[encoding]
    assert decode_text(WORDS.encode(), "a.txt", encoding) == WORDS, "UTF-8 among them stays UTF-8"


def test_an_option_is_proposed_only_where_there_is_one(tmp_path):
    """Commands that read no captions have no --encoding."""
    files = {"run.toml": 'method = "lör"', "rounds.json": '["ü"]', "flow.json": '{"ü": 1}'}
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode("cp1252"))
    for read, name in ((read_toml, "run.toml"), (load_rounds, "rounds.json"), (read_workflow, "flow.json")):
        with pytest.raises((ValueError, RuntimeError), match="Save it as UTF-8 in a text editor") as refused:
            read(tmp_path / name)
        assert "--encoding" not in str(refused.value) and "Error:" not in str(refused.value)


def test_a_refusal_shows_what_it_could_say():
    with pytest.raises(TextEncodingError, match=r"line 2, byte 0xfc.*in cp1252 it would read “es grün”"):
        decode_text("one\nes grün".encode("cp1252"), "a.txt")


@pytest.mark.parametrize(
    "data", [b"\xff\xfea", b"\xff\xfe\x00\xd8", b"\xef\xbb\xbf\xfc", b"a\x00b", b"\x00", b"\x00" * 8]
)
def test_damaged_text_is_refused(data):
    with pytest.raises(TextEncodingError, match=r"a\.txt"):
        decode_text(data, "a.txt")


def _folders(base, captions):
    for number, (name, data) in enumerate(captions.items()):
        for folder, pixels in (("before", picture(number)), ("after", 255 - picture(number))):
            (base / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(base / folder / f"{name}.png")
        (base / "after" / f"{name}.txt").write_bytes(data)


def _instructions(dataset):
    return {row.id.rsplit("-", 1)[0]: row.instruction for row in dataset.rows()}


def test_captions_of_an_import(tmp_path, capsys):
    captions = {name: WORDS.encode(name) for name in (*CERTAIN, *UNMARKED)}
    captions |= {name.replace("_", "-"): text.encode(name) for name, text in UNCERTAIN.items()}
    captions["lost"] = f"gr{LOST_LETTER}n".encode()
    _folders(tmp_path / "src", captions)
    command = ["dataset", "import", str(tmp_path / "d"), str(tmp_path / "src"), "--format", "folders"]
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert _instructions(Dataset(tmp_path / "d")) == dict.fromkeys((*CERTAIN, *UNMARKED), WORDS)
    for name in (*UNCERTAIN, "lost"):
        assert f"{name.replace('_', '-')}.png: " in shown
    assert "cp1252.txt is not UTF-8 text" in shown and "U+FFFD" in shown
    assert "or say what it is in, for example --encoding cp1252." in shown
    assert main([*command, "--encoding", "cp1252", "--instruction", "not taken"]) == 1, "some are not cp1252 either"
    assert _instructions(Dataset(tmp_path / "d"))["cp1252"] == UNCERTAIN["cp1252"]
    assert main(["dataset", "check", str(tmp_path / "d")]) == 0
    with pytest.raises(SystemExit):
        main([*command, "--encoding", "klingon"])
    assert "no text encoding 'klingon'" in capsys.readouterr().err


def _table(kind, base):
    """A table or configuration for one pair whose words are ``WORDS``: its text."""
    caption = (base / "image" / "a.txt", (WORDS if kind in ("yaml", "toml") else "").encode())
    for folder, pixels in (("image", 255 - picture(0)), ("control", picture(0))):
        (base / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(base / folder / "a.png")
    caption[0].write_bytes(caption[1])
    if kind == "csv":
        return f'Target:FILE,Source:FILE,Prompt\nimage/a.png,control/a.png,"{WORDS}"\n'
    if kind == "jsonl":
        entry = {"image_path": "image/a.png", "control_path": "control/a.png", "caption": WORDS}
        return json.dumps(entry, ensure_ascii=False)
    if kind == "yaml":
        return "# für\ndatasets:\n- folder_path: image\n  control_path: control\n"
    return '# für\n[[datasets]]\nimage_directory = "image"\ncontrol_directory = "control"\n'


@pytest.mark.parametrize(
    ("kind", "format"), [("csv", "ace-csv"), ("jsonl", "musubi"), ("yaml", "ai-toolkit"), ("toml", "musubi")]
)
def test_tables_and_configurations(tmp_path, kind, format):
    text = _table(kind, tmp_path)
    for encoding in CERTAIN:
        path = tmp_path / f"{encoding}.{kind}"
        path.write_bytes(text.encode(encoding))
        dataset = Dataset.create(tmp_path, f"d-{encoding}")
        result = import_pairs(dataset, path, format)
        assert (result.stored, result.failed) == (1, [])
        assert next(iter(dataset.rows())).instruction == WORDS
    path = tmp_path / f"table.{kind}"
    path.write_bytes(text.encode("gb18030"))
    with pytest.raises(DatasetError, match=rf"table\.{kind} is not UTF-8"):
        import_pairs(Dataset.create(tmp_path, "no"), path, format)
    options = ImportOptions(encoding="gb18030")
    assert import_pairs(Dataset.create(tmp_path, "yes"), path, format, options=options).stored == 1


def test_rounds_workflows_and_training_files(tmp_path):
    save_rounds([StoredRound(WORDS, (StoredImage("{image}", tmp_path / "a.png"),))], tmp_path / "rounds.json")
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": WORDS}}}
    (tmp_path / "flow.json").write_text(json.dumps(prompt, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "train.toml").write_text(f'[run]\nname = "{WORDS}"\n', encoding="utf-8")
    readers = {"rounds.json": load_rounds, "flow.json": read_workflow, "train.toml": read_toml}
    for name, read in readers.items():
        plain, expected = read_text(tmp_path / name), read(tmp_path / name)
        assert WORDS in str(expected)
        for encoding in CERTAIN:
            (tmp_path / name).write_bytes(plain.encode(encoding))
            assert read(tmp_path / name) == expected
        (tmp_path / name).write_bytes(plain.encode("gb18030"))
        with pytest.raises((ValueError, RuntimeError), match=rf"{name}.*not UTF-8 text"):
            read(tmp_path / name)


def test_lost_letters_enter_by_no_way(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    for words in ({"instruction": f"gr{LOST_LETTER}n"}, {"prompt": f"gr{LOST_LETTER}n"}):
        with pytest.raises(PairError, match=r"U\+FFFD"):
            dataset.append(pair(0, **words))


def _edit_rows(dataset, **changes):
    path = dataset.folder / "metadata.jsonl"
    rows = [{**json.loads(line), **changes} for line in path.read_bytes().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


BROKEN = "gr\ufffdn"
WORDED = {
    "phrasings": ["turn it green", f"{BROKEN}"],
    "source_caption": BROKEN,
    "target_caption": BROKEN,
    "tags": ["a", BROKEN],
}


@pytest.mark.parametrize("key", WORDED)
def test_lost_letters_are_found_in_every_text_of_a_pair(tmp_path, key):
    dataset = Dataset.create(tmp_path, "d")
    with pytest.raises(PairError, match="U\\+FFFD"):
        dataset.append(replace(pair(0), **{key: WORDED[key]}))
    kept = dataset.append(pair(0)).id
    _edit_rows(dataset, **{key: WORDED[key]})
    (fault,) = verify(dataset.folder).faults
    assert (fault.kind, fault.place) == ("letters", kept) and "repair" in fault.message
    assert repair(dataset.folder).kept == 1 and verify(dataset.folder).ok
    left = getattr(dataset.row(kept), key)
    assert left == (tuple(WORDED[key][:1]) if isinstance(WORDED[key], list) else "")


@pytest.mark.parametrize(
    ("before", "after", "images", "prompt"),
    [
        ("{image} make it blue", "{image} make it green", 1, "make it green"),
        ("{image}, make it blue", "{image} make it green", 1, "make it green"),
        ("make {image} blue", "make {image} green", 1, "make the image green"),
        ("{image} in {image1}", "{image1} in {image}", 2, "image 2 in image 1"),
    ],
)
def test_an_instruction_corrected_in_the_table_is_taken_over_by_prompt_and_caption(
    tmp_path, before, after, images, prompt
):
    dataset = Dataset.create(tmp_path, "d")
    kept = dataset.append(pair(0, instruction=before, references=[picture(8)] * (images - 1))).id
    _edit_rows(dataset, instruction=after)
    repair(dataset.folder, accept_changes=True)
    row = dataset.row(kept)
    assert (row.instruction, row.prompt) == (after, prompt)
    assert (dataset.folder / f"target/{kept}.txt").read_text() == prompt and verify(dataset.folder).ok


def test_prompt_and_instruction_corrected_in_the_table_win_over_the_old_caption(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    kept = dataset.append(pair(0, instruction="{image} old")).id
    _edit_rows(dataset, instruction="{image} new", prompt="anew")
    repair(dataset.folder, accept_changes=True)
    row = dataset.row(kept)
    assert (row.instruction, row.prompt) == ("{image} new", "anew") and verify(dataset.folder).ok
    assert (dataset.folder / f"target/{kept}.txt").read_text() == "anew"


def test_a_prompt_of_its_own_is_kept_and_spoken_of_where_pictures_changed(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    kept = dataset.append(replace(pair(0, instruction="{image} old"), prompt="something else")).id
    Image.fromarray(picture(5)).save(dataset.folder / f"target/{kept}.png")
    result = repair(dataset.folder, accept_changes=True)
    assert dataset.row(kept).prompt == "something else"
    assert any("words of its own" in action for action in result.actions)


def test_plain_prompts():
    assert plain_prompt("{image}, make it a sketch", 1) == "make it a sketch"
    assert plain_prompt("make {image} a sketch", 1) == "make the image a sketch"
    assert plain_prompt("<image> with the hat of <image1>", 2) == "image 1 with the hat of image 2"
    assert plain_prompt("a cat", 0) == "a cat"


@given(st.text(min_size=1, max_size=60))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_make_one_line_and_a_readable_row(tmp_path_factory, text):
    dataset = Dataset.create(tmp_path_factory.mktemp("words"), "d")
    try:
        result = dataset.append(Pair(target=picture(0), instruction=text, prompt=text, tags=[text], name=text))
    except PairError:
        return
    row = dataset.row(result.id)
    caption = (dataset.folder / "target" / f"{result.id}.txt").read_bytes().decode()
    assert caption == row.prompt and len(caption.splitlines()) <= 1
    assert check_id(row.id)
