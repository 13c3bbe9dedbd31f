"""Configuration files: what is refused, how it is told, and that every shipped example runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from comfyui_ace.ace.bundles.random_bundle import CONFIG
from comfyui_ace.ace.weights.checkpoint import load_model, to_published_keys
from comfyui_ace.ace.weights.editnet import read_editnet
from comfyui_ace.ace.weights.lora import read_lora
from comfyui_ace.cli import main
from comfyui_ace.training.packages import require_packages
from comfyui_ace.training.trainer.config_file import load_config
from comfyui_ace.training.trainer.errors import ConfigError, TrainError
from comfyui_ace.training.trainer.preparation import check_sharding
from safetensors.torch import save_file
from trainer_runs import run, workshop_fixture  # noqa: F401

EXAMPLES = sorted((Path(__file__).parents[3] / "training" / "configs").glob("*.toml"))
SMALL = [
    "steps=2",
    "batch_size=2",
    "accumulate=1",
    "device=cpu",
    "samples.every=2",
    "samples.steps=1",
    "samples.count=1",
]


@pytest.fixture
def weights(workshop, tmp_path) -> Path:
    """A file to start from: the bundle's own, under names that PixArt uses."""
    from comfyui_ace.ace.bundles.bundle import find_bundle

    state = to_published_keys(load_model(find_bundle(workshop.bundle).dit).state_dict())
    path = tmp_path / "PixArt-XL-2-512x512.safetensors"
    save_file(
        {name: tensor.contiguous() for name, tensor in as_pixart(state).items()}, path, metadata=CONFIG.metadata()
    )
    return path


def as_pixart(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An ACE state dict with fused projections, no norms and no mask channel."""
    fused = {}
    for name, tensor in state.items():
        if ".norm_" in name or any(f"attn.{letter}." in name for letter in "qkv"):
            continue
        name = name.replace("y_embedder.", "y_embedder.y_proj.").replace("attn.o.", "attn.proj.")
        fused[name] = tensor[:, :4] if name == "x_embedder.proj.weight" else tensor
    for block in {name.rsplit(".", 3)[0] for name in state if name.endswith("cross_attn.q.weight")}:
        for kind in ("weight", "bias"):
            q, k, v = (state[f"{block}.attn.{letter}.{kind}"] for letter in "qkv")
            fused[f"{block}.attn.qkv.{kind}"] = torch.cat([q, k, v])
            q, k, v = (state[f"{block}.cross_attn.{letter}.{kind}"] for letter in "qkv")
            fused[f"{block}.cross_attn.q_linear.{kind}"] = q
            fused[f"{block}.cross_attn.kv_linear.{kind}"] = torch.cat([k, v])
    return fused


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs(path, workshop, weights, tmp_path):
    models = workshop.bundle / "models"
    places = {
        "bundle": workshop.bundle,
        "weights": weights,
        "vae": models / "vae" / "vae.bin",
        "text_encoder": models / "text_encoder" / "t5-v1_1-xxl",
        "tokenizer": models / "tokenizer" / "t5-v1_1-xxl",
    }
    given = load_config(path).model
    overrides = [f"model.{name}={place}" for name, place in places.items() if getattr(given, name) is not None]
    if given.scratch is not None:
        overrides += ["model.scratch.hidden_size=32", "model.scratch.depth=1", "model.scratch.num_heads=2"]
    data = [f"output={tmp_path / 'run'}", f'data.datasets=["{workshop.dataset}"]', f"data.cache={workshop.cache}"]
    config = load_config(path, [*SMALL, *overrides, *data, "data.cache_dtype=fp32"])
    events = run(config)
    kinds = [event["event"] for event in events]
    assert kinds.count("step") == 2 and "samples" in kinds and kinds[-1] == "end"
    result = Path(events[-1]["path"])
    assert result.name == "run.safetensors"
    {"lora": read_lora, "editnet": read_editnet, "full": load_model}[config.method](result)
    assert (tmp_path / "run" / "loss.png").stat().st_size > 1000
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_examples_exist_for_each_use():
    assert {path.stem for path in EXAMPLES} == {
        "distil-lora",
        "editnet",
        "full-512",
        "full-1024",
        "paper-stage",
        "pixart-start",
        "tiny-cpu",
    }


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


MINIMAL = 'output = "o"\nsteps = 1\n[model]\nbundle = "b"\n[data]\ndatasets = ["d"]\n'


def test_overrides_are_toml_or_text(tmp_path):
    path = write(tmp_path / "c.toml", MINIMAL)
    config = load_config(
        path, ["steps=7", "optimizer.learning_rate=1e-3", "output=some/where", 'data.datasets=["a", "b"]', "ema=0.5"]
    )
    assert (config.steps, config.optimizer.learning_rate, config.ema) == (7, 1e-3, 0.5)
    assert config.output == Path("some/where") and config.data.datasets == [Path("a"), Path("b")]


@pytest.mark.parametrize(("dora", "adapter"), [("true", "dora"), ("false", "lora")])
def test_files_of_version_0_1_say_dora_by_a_switch(tmp_path, dora, adapter):
    config = load_config(write(tmp_path / "c.toml", f"{MINIMAL}[lora]\ndora = {dora}\nrank = 5"))
    assert (config.lora.adapter, config.lora.rank) == (adapter, 5)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (MINIMAL + "[optimiser]\nlr = 1", [], r"optimiser: there is no such setting; known here are .*optimizer"),
        (
            MINIMAL,
            ["optimizer.lr=1"],
            r"optimizer\.lr: there is no such setting; known here are name, muon, learning_rate",
        ),
        (MINIMAL, ["model.scratch.width=3"], r"model\.scratch\.width: there is no such setting.*hidden_size"),
        (MINIMAL, ["steps=0"], r"steps: .*greater than or equal to 1 \(got 0\)"),
        (MINIMAL, ["batch_size=true"], r"batch_size: .*valid integer \(got True\)"),
        (MINIMAL, ["gradient_checkpointing=yes"], r"gradient_checkpointing: .*True, False or 'auto' \(got 'yes'\)"),
        (MINIMAL, ["tensorboard=yes"], r"tensorboard: .*valid boolean \(got 'yes'\)"),
        (MINIMAL, ["ema=false"], r"ema: .*valid number \(got False\)"),
        (MINIMAL, ["optimizer.betas=[0.9, 1.0]"], r"optimizer\.betas\.1: .*less than 1 \(got 1\.0\)"),
        (MINIMAL, [f"seed={2**63}"], r"seed: .*less than 9223372036854775808"),
        (MINIMAL, ["export.name=../../evil"], r"export\.name: this is no file name"),
        (MINIMAL, ["export.name=a\\b"], r"export\.name: this is no file name"),
        (MINIMAL, ["export.name=.."], r"export\.name: this is no file name"),
        (MINIMAL, ["method=lokr"], r"method: .*'lora', 'full' or 'editnet'"),
        (MINIMAL, ["lora.adapter=loha"], r"lora\.adapter: .*'lora', 'dora' or 'lokr' \(got 'loha'\)"),
        (MINIMAL, ["lora.dora=yes"], r'lora: .*dora was a switch of version 0\.1.*adapter = "dora"'),
        (MINIMAL, ["lora.dora=true", "lora.adapter=lokr"], r"lora: .*dora was a switch of version 0\.1"),
        (MINIMAL, ["resolution.rule=exact"], "resolution: the rule exact needs width and height"),
        (MINIMAL, ["resolution.width=64"], "resolution: width has no meaning for the rule published"),
        (MINIMAL.replace('bundle = "b"', 'vae = "v"'), [], "without a bundle these must be given too: text_encoder"),
        (MINIMAL, ["steps"], "'steps' is no override"),
        (MINIMAL, ["steps.more=1"], "steps is a value, not a table"),
        ("output = ", [], "is not valid TOML"),
        ("steps = 1", [], "output: must be given(?s:.*)data: must be given"),
    ],
)
def test_faults_are_named(tmp_path, text, overrides, expected):
    with pytest.raises(ConfigError, match=expected):
        load_config(write(tmp_path / "c.toml", text), overrides)


def test_the_largest_seed_trains(workshop, tmp_path):
    run(workshop.config(tmp_path / "run", steps=1, seed=2**63 - 1))


def test_python_without_toml_is_told_what_to_install(tmp_path, monkeypatch):
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"needs the package tomli(?s:.*)-m pip install tomli"):
        load_config(write(tmp_path / "c.toml", MINIMAL))
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    monkeypatch.setattr("comfyui_ace.training.packages.find_spec", lambda name: None if name == "tomli" else name)
    with pytest.raises(TrainError, match="needs the package tomli, which is not installed"):
        require_packages()


def test_fsdp_has_to_be_version_2():
    from accelerate import FullyShardedDataParallelPlugin

    check_sharding(None)
    check_sharding(FullyShardedDataParallelPlugin(fsdp_version=2))
    with pytest.raises(ConfigError, match=r"FSDP version 1 cannot hold(?s:.*)--fsdp_version 2"):
        check_sharding(FullyShardedDataParallelPlugin(fsdp_version=1))


def test_the_command_explains_and_fails(tmp_path, capsys):
    assert main(["train", str(tmp_path / "none.toml")]) == 1
    assert "none.toml cannot be read" in capsys.readouterr().err
    assert main(["train", str(write(tmp_path / "c.toml", MINIMAL))]) == 1
    assert "b does not exist" in capsys.readouterr().err


def test_check_says_what_would_be_trained_on(workshop, tmp_path, capsys):
    from trainer_runs import write_toml

    path = write_toml(workshop.table(tmp_path / "run"), tmp_path / "c.toml")
    assert main(["train", str(path), f"data.cache={tmp_path / 'cache'}", "--check"]) == 0
    out = capsys.readouterr().out
    assert "8 pairs to train on, 2 held out" in out and "0 of 26 pictures and texts are encoded" in out
    assert "1 pairs of layout 32x32, 32x32, 32x16 (" in out
    assert not (tmp_path / "run").exists()
