"""Finding the parts of a downloaded model on disk."""

import json
import logging
import re

import pytest
from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, BundleError, find_bundle, list_bundles
from comfyui_ace.ace.weights.presets import BundleDefaults, DistillationDefaults

LAYOUT = (
    "models/dit/ace_0.6b_512px.pth",
    "models/vae/vae.bin",
    "models/text_encoder/t5-v1_1-xxl/config.json",
    "models/text_encoder/t5-v1_1-xxl/model-00001-of-00002.safetensors",
    "models/tokenizer/t5-v1_1-xxl/spiece.model",
    "models/tokenizer/t5-v1_1-xxl/tokenizer_config.json",
)


def build(folder, paths=LAYOUT):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    return folder


@pytest.fixture
def folder(tmp_path):
    return build(tmp_path / "ACE-0.6B-512px")


def without(part):
    return [path for path in LAYOUT if not path.startswith(f"models/{part}/")]


def test_published_layout(folder):
    bundle = find_bundle(folder)
    assert bundle.name == "ACE-0.6B-512px"
    assert bundle.folder == folder
    assert bundle.dit == folder / "models/dit/ace_0.6b_512px.pth"
    assert bundle.vae == folder / "models/vae/vae.bin"
    assert bundle.text_encoder == folder / "models/text_encoder/t5-v1_1-xxl"
    assert bundle.tokenizer == folder / "models/tokenizer/t5-v1_1-xxl"


def test_the_models_folder_itself_is_accepted(folder):
    assert find_bundle(folder / "models") == find_bundle(folder)
    assert find_bundle(str(folder)) == find_bundle(folder)


def test_a_relative_path_is_made_absolute(folder, monkeypatch):
    monkeypatch.chdir(folder / "models" / "dit")
    assert find_bundle("../..") == find_bundle(folder)


def test_other_names_for_the_t5_folders(tmp_path):
    folder = build(tmp_path / "mine", [path.replace("t5-v1_1-xxl", "anything") for path in LAYOUT])
    assert find_bundle(folder).text_encoder == folder / "models/text_encoder/anything"
    flat = build(tmp_path / "flat", [path.replace("t5-v1_1-xxl/", "") for path in LAYOUT])
    assert find_bundle(flat).text_encoder == flat / "models/text_encoder"
    assert find_bundle(flat).tokenizer == flat / "models/tokenizer"


def test_the_tokenizer_may_lie_beside_the_text_encoder(tmp_path):
    paths = [*without("tokenizer"), "models/text_encoder/t5-v1_1-xxl/tokenizer.json"]
    bundle = find_bundle(build(tmp_path / "a", paths))
    assert bundle.tokenizer == bundle.text_encoder


def test_a_text_encoder_in_a_single_file(tmp_path):
    folder = build(tmp_path / "a", [*without("text_encoder"), "models/text_encoder/t5xxl_fp16.safetensors"])
    assert find_bundle(folder).text_encoder == folder / "models/text_encoder/t5xxl_fp16.safetensors"


def test_safetensors_is_preferred_to_the_same_model_as_pth(folder):
    build(folder, ["models/dit/ace_0.6b_512px.safetensors"])
    assert find_bundle(folder).dit.name == "ace_0.6b_512px.safetensors"


def test_two_different_models_are_an_error(folder):
    build(folder, ["models/dit/other.safetensors"])
    with pytest.raises(BundleError, match=r"several models: other\.safetensors, ace_0\.6b_512px\.pth"):
        find_bundle(folder)


def test_hidden_files_and_partial_downloads_do_not_count(tmp_path):
    folder = build(tmp_path / "a", [*without("dit"), "models/dit/.ace.pth", "models/dit/.ace.pth.0123.part"])
    with pytest.raises(BundleError, match="the DiT"):
        find_bundle(folder)


def test_everything_missing_is_listed_with_where_to_get_and_put_it(tmp_path):
    folder = build(tmp_path / "ACE-0.6B-1024px", ["models/vae/vae.bin"])
    with pytest.raises(BundleError) as caught:
        find_bundle(folder)
    text = str(caught.value)
    for part, name in (("dit", "ace_0.6b_1024px.pth"), ("text_encoder", "t5-v1_1-xxl/"), ("tokenizer", "t5-v1_1-xxl/")):
        assert f"in {folder / 'models' / part}\n" in text
        assert f"https://huggingface.co/scepter-studio/ACE-0.6B-1024px/tree/main/models/{part}\n    {name}" in text
    assert "models/vae" not in text.replace("with models", "")


def test_a_text_encoder_without_weights_is_missing(folder):
    (folder / "models/text_encoder/t5-v1_1-xxl/model-00001-of-00002.safetensors").unlink()
    with pytest.raises(BundleError, match="T5 text encoder"):
        find_bundle(folder)


def test_parts_that_are_not_required_may_be_missing(tmp_path):
    folder = build(tmp_path / "a", [*without("text_encoder")])
    bundle = find_bundle(folder, require=("dit", "vae"))
    assert bundle.text_encoder is None
    assert bundle.tokenizer is not None
    assert find_bundle(build(tmp_path / "b", without("dit")), require=("vae",)).dit is None
    with pytest.raises(BundleError):
        find_bundle(tmp_path / "b", require=("dit",))
    with pytest.raises(ValueError, match="unknown components"):
        find_bundle(folder, require=("unet",))


@pytest.mark.parametrize("kind", ["does not exist", "is a file"])
def test_what_is_no_folder(tmp_path, kind):
    if kind == "is a file":
        (tmp_path / "ace").touch()
    with pytest.raises(BundleError, match=kind):
        find_bundle(tmp_path / "ace")


# Defaults


def test_presets_by_name(tmp_path):
    small = find_bundle(build(tmp_path / "ACE-0.6B-512px")).defaults
    assert (small.max_tokens, small.steps, small.guidance_scale, small.guidance_rescale) == (1024, 20, 4.5, 0.5)
    large = find_bundle(build(tmp_path / "any", [path.replace("512px", "1024px") for path in LAYOUT])).defaults
    assert (large.max_tokens, large.steps, large.guidance_scale, large.guidance_rescale) == (4096, 50, 4.5, 0.5)
    assert find_bundle(build(tmp_path / "x", [p.replace("_512px", "") for p in LAYOUT])).defaults == BundleDefaults()


def test_a_bundle_may_describe_itself(folder, caplog):
    given = {"max_tokens": 256, "guidance_scale": 3, "description": "small", "colour": "green"}
    (folder / "ace_bundle.json").write_text(json.dumps(given), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        defaults = find_bundle(folder).defaults
    assert defaults == BundleDefaults(max_tokens=256, steps=20, guidance_scale=3, description="small")
    assert "unknown entries are ignored: colour" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must hold a JSON object, got list"),
        ('{"steps": 0}', "'steps' must be a whole number of at least 1, got 0"),
        ('{"steps": 2.5}', "'steps' must be a whole number"),
        ('{"steps": true}', "'steps' must be a whole number"),
        ('{"guidance_scale": "4"}', "'guidance_scale' must be a number, got '4'"),
        ('{"guidance_scale": NaN}', "not valid JSON"),
        ('{"description": 1}', "'description' must be a text"),
    ],
)
def test_a_wrong_description_is_an_error(folder, content, message):
    (folder / "ace_bundle.json").write_text(content, encoding="utf-8")
    with pytest.raises(BundleError, match=message):
        find_bundle(folder)


# Listing


def test_list_bundles(tmp_path, caplog):
    build(tmp_path / "b")
    build(tmp_path / "a")
    build(tmp_path / "incomplete", ["models/dit/ace.pth"])
    build(tmp_path / "unrelated", ["notes.txt"])
    (tmp_path / "loose.safetensors").touch()
    with caplog.at_level(logging.WARNING):
        assert [bundle.name for bundle in list_bundles(tmp_path)] == ["a", "b"]
    assert "incomplete is left out" in caplog.text
    assert "unrelated" not in caplog.text
    assert [bundle.name for bundle in list_bundles(tmp_path, require=())] == ["a", "b", "incomplete"]
    assert list_bundles(tmp_path / "nowhere") == []


def test_a_bundle_brings_its_own_distillation_settings(tmp_path, caplog):
    folder = build(tmp_path / "mine", LAYOUT)
    assert find_bundle(folder).defaults.distillation == DistillationDefaults()
    (folder / "ace_bundle.json").write_text('{"distillation": {"rank": 8, "learning_rate": 1, "shape": "round"}}')
    assert find_bundle(folder).defaults.distillation == DistillationDefaults(rank=8, learning_rate=1)
    assert "distillation.shape" in caplog.text
    for wrong, named in (
        ('{"distillation": {"rank": 0}}', "'distillation.rank' must be a whole number of at least 1, got 0"),
        ('{"distillation": {"learning_rate": "1e-3"}}', "'distillation.learning_rate' must be a number"),
        ('{"distillation": 3}', "'distillation' must be a JSON object, got 3"),
    ):
        (folder / "ace_bundle.json").write_text(wrong)
        with pytest.raises(BundleError, match=re.escape(named)):
            find_bundle(folder)


def test_what_is_recommended_by_default_is_what_the_standard_configuration_says():
    from comfyui_ace.training.distil_config import DEFAULT_CONFIG
    from comfyui_ace.training.trainer.config_file import read_toml

    table = read_toml(DEFAULT_CONFIG)
    assert DistillationDefaults() == DistillationDefaults(
        table["lora"]["rank"], table["optimizer"]["learning_rate"], table["steps"], table["batch_size"]
    )


def test_ace_tiny_recommends_its_own():
    tiny = find_bundle(SHIPPED_BUNDLES / "ace-tiny").defaults
    assert tiny.distillation != DistillationDefaults() and tiny.guidance_scale != BundleDefaults().guidance_scale
