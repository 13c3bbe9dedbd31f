"""Our model and sampler against tensors recorded from the published code on the same random weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from comfyui_ace.ace.model.conditioning import Conditioning, concatenate
from comfyui_ace.ace.model.sampler import sample
from comfyui_ace.ace.weights.checkpoint import load_model
from safetensors import safe_open

PARITY = Path(__file__).parents[2] / "parity"
FORWARD_CASES = ["generate", "edit_masked", "edit_three_images", "batch_mixed"]
RUN_CASES = ["ddim20_edit", "ddim10_generate"]


class Case:
    """One recorded file: samples of their own sizes, which we run one at a time."""

    def __init__(self, name: str) -> None:
        with safe_open(PARITY / f"{name}.safetensors", "pt") as file:
            self.metadata = file.metadata() or {}
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.count = len({key.split(".")[0] for key in self.tensors if key.startswith("sample")})

    def __getitem__(self, key: str) -> torch.Tensor:
        return self.tensors[key][None]

    def get(self, key: str) -> torch.Tensor | None:
        return self[key] if key in self.tensors else None

    def conditioning(self, sample_index: int, text: str = "text") -> Conditioning:
        prefix = f"sample{sample_index}."
        kinds = Counter(key[len(prefix) :].rstrip("0123456789") for key in self.tensors if key.startswith(prefix))
        images = kinds["image"]
        return Conditioning(
            context=[self[f"{prefix}{text}{j}"] for j in range(images + 1)],
            indicator_embeddings=self.tensors["indicator_embeddings"],
            target_mask=self.get(f"{prefix}target_mask"),
            references=[self[f"{prefix}image{j}"] for j in range(images)],
            reference_masks=[self.get(f"{prefix}mask{j}") for j in range(images)],
        )


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return (torch.linalg.vector_norm(actual.double() - expected) / torch.linalg.vector_norm(expected.double())).item()


@pytest.fixture(scope="module")
def model():
    return load_model(PARITY / "weights.safetensors")


def forward_error(model, case: Case, dtype: torch.dtype = torch.float32) -> float:
    """Largest relative error over the case's samples."""
    errors = []
    for i in range(case.count):
        timesteps = case.tensors["timesteps"][i : i + 1]
        with torch.no_grad():
            eps = model(case[f"sample{i}.target"].to(dtype), timesteps, case.conditioning(i))
        assert eps.dtype == dtype
        errors.append(relative_error(eps, case[f"sample{i}.eps"]))
    return max(errors)


@pytest.mark.parametrize("name", FORWARD_CASES)
def test_forward_is_exact(model, name):
    assert forward_error(model, Case(name)) <= 1e-4


@pytest.mark.parametrize("name", FORWARD_CASES)
def test_forward_is_exact_when_compiled(model, name):
    assert forward_error(torch.compile(model, backend="eager"), Case(name)) <= 1e-4


@pytest.mark.parametrize("name", ["edit_masked", "edit_three_images"])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_forward_pass_compiles_to_one_graph(model, name, prepared):
    case = Case(name)
    x, timesteps, conditioning = case["sample0.target"], case.tensors["timesteps"][:1], case.conditioning(0)
    with torch.no_grad():
        given = model.prepare(conditioning, x) if prepared else conditioning
        torch._dynamo.reset()
        explained = torch._dynamo.explain(model)(x, timesteps, given)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0), explained.break_reasons


@pytest.mark.parametrize("name", FORWARD_CASES)
def test_forward_in_bfloat16(name):
    # bfloat16 keeps 8 bits: each operation is off by up to 2^-9 = 0.2%. A pass is about 40 dependent operations deep
    # here, whose errors add up like a random walk: 0.2% * sqrt(40) = 1.2%. Twice that is the bound; a wrong formula is
    # off by tens of percent.
    bf16 = load_model(PARITY / "weights.safetensors", dtype=torch.bfloat16)
    assert forward_error(bf16, Case(name), torch.bfloat16) <= 2.5e-2


@pytest.mark.parametrize("name", RUN_CASES)
def test_sampling_run_is_exact(model, name):
    case = Case(name)
    options = {key: float(case.metadata[key]) for key in ("guidance_scale", "guidance_rescale")}
    positive, negative = case.conditioning(0), case.conditioning(0, "negative_text")
    latent = sample(model, case["sample0.noise"], positive, negative, steps=int(case.metadata["steps"]), **options)
    assert relative_error(latent, case["sample0.latent"]) <= 2e-3


def test_both_branches_in_one_batch_equal_two_passes(model):
    case = Case("ddim20_edit")
    branches = [case.conditioning(0), case.conditioning(0, "negative_text")]
    x, t = case["sample0.noise"], torch.tensor([700])
    with torch.no_grad():
        apart = torch.cat([model(x, t, branch) for branch in branches])
        together = model(torch.cat((x, x)), t, concatenate(*branches, batch_size=1))
    assert relative_error(together, apart) <= 1e-5
