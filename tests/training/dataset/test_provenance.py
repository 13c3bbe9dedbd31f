"""Graphs are stored once, without secrets, under a hash that depends on what is left."""

import hashlib
import json

import pytest
from comfyui_ace.training.dataset.provenance.provenance import (
    graph_hash,
    load_graph,
    models_in_graph,
    save_graph,
    varying_inputs,
)
from comfyui_ace.training.dataset.provenance.redaction import (
    REMOVED,
    looks_random,
    redact_graph,
    redact_text,
)
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import DatasetError
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("no_sync")

GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd/v15.safetensors"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
    "3": {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "lora_name": "ink.safetensors", "strength": 0.5}},
    "4": {"class_type": "KSampler", "inputs": {"model": ["3", 0], "seed": 7, "steps": 20}, "_meta": {"title": "S"}},
}

# Put together here so that no scanner takes this file for a leak.
SECRETS = [
    "sk-" + "proj-Ab12Cd34Ef56Gh78Ij90",
    "hf_" + "AbCdEfGhIjKlMnOpQrStUv",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11ABCDEFG0" * 4,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "SyA-1234567890abcdefghijklmnopqrstu",
    "xoxb-" + "123456789012-abcdefABCDEF",
    "r8_" + "Ab1" * 12,
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "comfyui-" + "0123456789abcdef" * 4,
]


def node(**inputs):
    return {"9": {"class_type": "Any", "inputs": inputs}}


@pytest.mark.parametrize("secret", SECRETS, ids=[secret[:6] for secret in SECRETS])
def test_a_secret_is_found_by_its_shape_anywhere(secret):
    graph = node(text=f"call it with {secret} please", nested={"a": [1, {"b": secret}]})
    clean, removed = redact_graph(graph)
    assert secret not in json.dumps(clean)
    assert clean["9"]["inputs"]["text"] == f"call it with {REMOVED} please"
    assert set(removed) == {"9.text", "9.nested.a.1.b"}


@pytest.mark.parametrize(
    "field", ["api_key", "apiKey", "API Key", "openai_api_key", "password", "client_secret", "HFToken", "access_token"]
)
def test_a_secret_is_found_by_its_field_whatever_it_looks_like(field):
    clean, removed = redact_graph(node(**{field: "swordfish"}))
    assert clean["9"]["inputs"] == {field: REMOVED}
    assert removed == (f"9.{field}",)


def test_doubtful_fields_need_a_random_value():
    token = "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"
    assert redact_graph(node(token=token))[0]["9"]["inputs"]["token"] == REMOVED
    kept = {
        "token": "a photo of sks",
        "trigger_token": "ohwx",
        "token_normalization": "length+mean",
        "key": "cinematic",
        "max_tokens": 512,
        "keyframes": "0:(1.0), 24:(0.5), 48:(1.0)",
        "monkey": "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c",
        "password_length": 12,
        "seed": 123456789012345678,
        "text": "masterpiece, (best quality:1.2), a man, 4k, https://example.com/a?page=2&x=1",
        "ckpt_name": "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
        "sha256": hashlib.sha256(b"model").hexdigest(),
    }
    clean, removed = redact_graph(node(**kept))
    assert clean["9"]["inputs"] == kept and removed == ()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://user:hunter2@example.com/x.png", "hunter2"),
        ("https://civitai.com/api/download/1?token=0123456789abcdef&type=Model", "0123456789abcdef"),
        ("https://s3/x?X-Amz-Signature=abcdef0123456789", "abcdef0123456789"),
        ("Authorization: Bearer abc.def-ghi_123", "abc.def-ghi_123"),
        ('{"api_key": "s3cr3t-value", "model": "x"}', "s3cr3t-value"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_secrets_inside_longer_text(text, secret):
    clean = redact_text(text)
    assert secret not in clean and REMOVED in clean
    assert clean.split(REMOVED)[0] == text.split(secret)[0] or text.startswith("-----BEGIN") or "user" in text


def test_a_key_in_a_text_box_is_found_along_the_wire():
    graph = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": "plain looking"}},
        "2": {"class_type": "StringConcat", "inputs": {"a": ["1", 0], "b": "suffix"}},
        "3": {"class_type": "Remote", "inputs": {"api_key": ["2", 0], "prompt": ["4", 0]}},
        "4": {"class_type": "PrimitiveString", "inputs": {"value": "a cat"}},
    }
    clean, removed = redact_graph(graph)
    assert clean["1"]["inputs"]["value"] == REMOVED and clean["2"]["inputs"]["b"] == REMOVED
    assert clean["4"]["inputs"]["value"] == "a cat"
    assert clean["3"]["inputs"] == graph["3"]["inputs"]
    assert set(removed) == {"1.value", "2.b"}


_HEX = hashlib.md5(b"somebody's key", usedforsecurity=False).hexdigest()
_CALL = "curl --api-key"


@pytest.mark.parametrize(
    "value",
    [
        "https://discord.com/api/webhooks/123456789012345678/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
        "https://hooks.slack.com/services/T00000000/B00000000/aBcDeFgHiJkLmNoPqRsTuVwX",
        "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
        "https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1/sendPhoto",
        "ya29.a0AfH6SMBxyz1234567890abcdefghij",
        "GOCSPX-abcdefghijklmnop1234567",
        f"{_CALL} abcd1234abcd https://x",
        "upload --token='abcd1234' photo.png",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"[:40],
        '{"X-API": "abcd1234abcd1234"}',
    ],
)
def test_secrets_of_services_in_any_field(value):
    clean, removed = redact_graph(node(text=value))
    assert REMOVED in clean["9"]["inputs"]["text"] and removed == ("9.text",)
    assert redact_text(clean["9"]["inputs"]["text"]) == clean["9"]["inputs"]["text"]


@pytest.mark.parametrize("field", ["civitai", "openai", "HuggingFace", "key", "token", "auth"])
def test_a_bare_key_in_a_field_named_like_its_service_and_along_a_doubtful_wire(field):
    assert redact_graph(node(**{field: _HEX}))[0]["9"]["inputs"] == {field: REMOVED}
    graph = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": _HEX}},
        "2": {"class_type": "Concat", "inputs": {"a": ["1", 0], "b": "plain words"}},
        "3": {"class_type": "Remote", "inputs": {field: ["2", 0]}},
    }
    clean, removed = redact_graph(graph)
    assert removed == ("1.value",) and clean["2"] == graph["2"]


@pytest.mark.parametrize("field", ["pwd", "db_pwd", "passwd", "pass", "user_pass"])
def test_fields_for_passwords_are_certain(field):
    assert redact_graph(node(**{field: "hunter2"}))[0]["9"]["inputs"] == {field: REMOVED}


def test_seeds_prompts_and_hashes_of_models_are_left_alone():
    kept = {
        "seed": 1125899906842624,
        "seeds": "1125899906842624, 42",
        "model_hash": _HEX,
        "civitai_hash": _HEX[:10],
        "civitai_version": "128713",
        "openai_model": "gpt-image-1",
        "commit": hashlib.sha1(b"x", usedforsecurity=False).hexdigest(),
        "text": "pass the key -- a token of love, --ar 16:9 --seed 12345678 --token nizer",
        "path": "Illustrious/StyleA/Characters/Version2ab",
        "ratio": "12:34",
        "bypass": "nothing2hide",
        "passes": "two",
        "render_pass": "diffuse",
        "url": "https://discord.com/channels/1234567890/1234567890",
        "prompt": "pneumonoultramicroscopicsilicovolcanoconiosis",
    }
    assert redact_graph(node(**kept)) == (node(**kept), ())
    wired = {
        "1": {"class_type": "CheckpointLoader", "inputs": {"ckpt_name": "sd/flux1-dev-fp8-e4m3fn.safetensors"}},
        "2": {"class_type": "Cache", "inputs": {"key": ["1", 0], "prompt": "a cat, 4k"}},
    }
    assert redact_graph(wired) == (wired, ())


def test_the_given_graph_is_not_touched():
    graph = node(api_key="x")
    redact_graph(graph)
    assert graph == node(api_key="x")


def test_a_graph_is_stored_once_and_reads_back(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    graph = {**GRAPH, **node(api_key="swordfish", url="https://a:b@c/")}
    first = save_graph(dataset.folder, graph, host={"comfyui": "0.8.0", "nodes": {"Pack": "1.2"}})
    again = save_graph(dataset.folder, dict(reversed(list(graph.items()))))
    assert first.hash == again.hash == graph_hash(graph)
    files = sorted(path.name for path in (dataset.folder / "workflows").iterdir())
    assert files == [f"{first.hash}.info.json", f"{first.hash}.json"]
    text = (dataset.folder / "workflows" / f"{first.hash}.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == first.hash and b"swordfish" not in text
    assert load_graph(dataset.folder, first.hash)["4"] == GRAPH["4"]
    info = json.loads((dataset.folder / "workflows" / f"{first.hash}.info.json").read_text())
    assert info["models"] == ["ink.safetensors", "sd/v15.safetensors"]
    assert info["removed"] == ["9.api_key", "9.url"]
    assert info["host"]["comfyui"] == "0.8.0" and "KSampler" in info["node_types"]


def test_two_secrets_make_one_graph():
    assert graph_hash(node(api_key="one")) == graph_hash(node(api_key="two"))
    assert graph_hash(node(text="one")) != graph_hash(node(text="two"))


def test_what_varies_does_not_make_new_graphs(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    hashes = set()
    for seed, file in ((1, "a.png"), (2, "b.png")):
        graph = json.loads(json.dumps(GRAPH))
        graph["4"]["inputs"]["seed"] = seed
        graph["2"]["inputs"]["image"] = file
        assert varying_inputs(graph) == [("2", "image"), ("4", "seed")]
        hashes.add(save_graph(dataset.folder, graph, varying=varying_inputs(graph)).hash)
    assert len(hashes) == 1
    assert load_graph(dataset.folder, hashes.pop())["4"]["inputs"]["seed"] == "[varies]"


def test_a_wired_seed_is_not_called_varying():
    graph = {"1": {"class_type": "KSampler", "inputs": {"seed": ["2", 0]}}, "2": {"class_type": "Int", "inputs": {}}}
    assert varying_inputs(graph) == []


def test_a_changed_graph_file_is_noticed(tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    saved = save_graph(dataset.folder, GRAPH)
    saved.path.write_text("{}")
    with pytest.raises(DatasetError, match="changed"):
        load_graph(dataset.folder, saved.hash)
    with pytest.raises(DatasetError, match="no graph"):
        load_graph(dataset.folder, "0" * 64)


def test_models_are_found_in_nested_widgets_not_in_prose():
    graph = node(stack=[{"lora": "x.safetensors"}], text="use a.ckpt\nor b.ckpt", unet="q4.gguf", image="photo.png")
    assert models_in_graph(graph) == ("q4.gguf", "x.safetensors")


@pytest.mark.parametrize("graph", [{}, [], None, {"nodes": [], "links": []}, {"1": {"inputs": {}}}, {"1": "x"}])
def test_what_is_no_api_graph_is_refused(graph, tmp_path):
    dataset = Dataset.create(tmp_path, "d")
    with pytest.raises(DatasetError, match="API format"):
        save_graph(dataset.folder, graph)


@given(st.text(max_size=200))
def test_redaction_is_stable_and_total(text):
    once = redact_text(text)
    assert redact_text(once) == once


def test_random_looking():
    assert looks_random("4f9aZk21LmQ8x0PpW3")
    assert not looks_random("a cat on a sofa in the sun 2024")
    assert not looks_random("aaaaaaaaaaaaaaaaaaaa1")
    assert not looks_random("short1")
