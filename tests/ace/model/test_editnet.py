"""EditNet: a branch of copied blocks that starts without effect, and whose switches do what they say."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.model.conditioning import Conditioning, concatenate
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.editnet import EditNet, EditNetConfig, ModelWithEditNet
from comfyui_ace.ace.model.sampler import sample
from comfyui_ace.ace.model.transformer import ACEModel
from trained_adapters import base_model, inputs

SHAPE = ACEConfig(hidden_size=32, depth=3, num_heads=2, text_width=16, max_seq_len=16)
ARMS = {
    "whole": EditNetConfig((0, 1, 2)),
    "some blocks": EditNetConfig((1,)),
    "no interaction": EditNetConfig((0, 2), interaction=False),
    "no text update": EditNetConfig((0, 2), text_update=False),
    "neither": EditNetConfig((0, 1, 2), interaction=False, text_update=False),
}
each_arm = pytest.mark.parametrize("config", ARMS.values(), ids=ARMS)


def moved(net: EditNet, seed: int = 0) -> EditNet:
    """The branch with numbers as after a training: nothing is zero any more."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return net


@torch.no_grad()
def answer(model, *arguments) -> torch.Tensor:
    return model(*(arguments or inputs(SHAPE)))


class Recorder:
    """A control that changes nothing and keeps what passes."""

    def __init__(self):
        self.read, self.texts = [], []

    def begin(self):
        return self

    def __call__(self, index, given, tokens, text):
        self.read.append(given)
        self.texts.append(text)
        return tokens, text


@each_arm
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_new_branch_changes_no_bit(config, dtype):
    model = base_model(SHAPE).to(dtype)
    x, t, conditioning = inputs(SHAPE)
    arguments = (x.to(dtype), t, conditioning)
    with_branch = ModelWithEditNet(model, EditNet.copy_of(model, config, dtype=dtype))
    assert torch.equal(answer(with_branch, *arguments), answer(model, *arguments))


@each_arm
def test_at_strength_0_the_base_answers_bit_for_bit_and_at_1_it_does_not(config):
    model = base_model(SHAPE)
    net = moved(EditNet.copy_of(model, config))
    base = answer(model)
    assert torch.equal(answer(ModelWithEditNet(model, net, 0.0)), base)
    assert (answer(ModelWithEditNet(model, net)) - base).norm() > 1e-2 * base.norm()
    off = ModelWithEditNet(model, net)
    off.enable_adapters(False)
    assert torch.equal(answer(off), base)


@each_arm
def test_strength_scales_both_projections(config):
    """At strength s it is the branch whose projections are s times as large."""
    model = base_model(SHAPE)
    net, scaled = (moved(EditNet.copy_of(model, config)) for _ in range(2))
    for block in scaled.blocks.values():
        for projection in filter(None, (block.token_out, block.text_out)):
            projection.weight.data.mul_(0.3)
            projection.bias.data.mul_(0.3)
    wanted = answer(ModelWithEditNet(model, scaled))
    torch.testing.assert_close(answer(ModelWithEditNet(model, net, 0.3)), wanted)


@each_arm
def test_a_small_strength_is_a_small_change_in_proportion(config):
    model = base_model(SHAPE).double()
    net = moved(EditNet.copy_of(model, config, dtype=torch.float64))
    x, t, conditioning = inputs(SHAPE)
    arguments = (x.double(), t, conditioning)
    first, second = (
        answer(ModelWithEditNet(model, net, s), *arguments) - answer(model, *arguments) for s in (1e-5, 2e-5)
    )
    torch.testing.assert_close(second, 2 * first, rtol=1e-3, atol=1e-3 * first.abs().max().item())


@each_arm
def test_gradient_reaches_the_branch_alone_first_its_projections_then_all_of_it(config):
    model = base_model(SHAPE).requires_grad_(False)
    net = EditNet.copy_of(model, config)
    with_branch = ModelWithEditNet(model, net)

    def learning() -> set[str]:
        with_branch.zero_grad()
        with_branch(*inputs(SHAPE)).square().mean().backward()
        return {n for n, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}

    first = learning()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert first and {name.split(".")[2] for name in first} <= {"token_out", "text_out"}
    assert any("text_out" in name for name in first) == config.text_update
    moved(net)
    # A bias of keys moves all scores of a query alike.
    names = {name for name, _ in net.named_parameters()}
    assert learning() == names, names - learning()


@pytest.mark.parametrize("interaction", [True, False])
def test_with_interaction_copies_read_what_their_blocks_read_and_without_it_each_other(interaction):
    model = base_model(SHAPE)
    config = EditNetConfig((0, 1, 2), interaction=interaction, text_update=False)
    net, seen, made = moved(EditNet.copy_of(model, config)), [], []

    def note(_copy, given, out) -> None:
        seen.append(given[0])
        made.append(out)

    for block in net.blocks.values():
        block.copy.register_forward_hook(note)
    main = Recorder()
    with torch.no_grad():
        model(*inputs(SHAPE), controls=(*net.at(1.0), main))
    tokens = [given.x for given in main.read]
    assert torch.equal(seen[0], tokens[0])
    wanted = tokens[1:] if interaction else made[:-1]
    other = made[:-1] if interaction else tokens[1:]
    for index in range(2):
        assert torch.equal(seen[index + 1], wanted[index])
        assert not torch.equal(seen[index + 1], other[index])


@pytest.mark.parametrize("text_update", [True, False])
def test_the_text_of_later_blocks_changes_only_where_it_is_to(text_update):
    model = base_model(SHAPE)
    net = moved(EditNet.copy_of(model, EditNetConfig((1,), text_update=text_update)))
    plain, main = Recorder(), Recorder()
    with torch.no_grad():
        model(*inputs(SHAPE), controls=(plain,))
        model(*inputs(SHAPE), controls=(*net.at(1.0), main))
    for index in (0, 1):  # up to the block beside which the branch is
        assert torch.equal(main.read[index].text.expand_as(plain.read[index].text), plain.read[index].text)
    change = (main.read[2].text - plain.read[2].text).norm() / plain.read[2].text.norm()
    assert (change > 1e-2) == text_update
    assert text_update or torch.equal(main.read[2].text, plain.read[2].text)


def test_each_frames_words_read_that_frame_alone():
    """The texts of frames whose tokens nobody changed stay as they were, whatever other frames show."""
    model = base_model(SHAPE)
    block = moved(EditNet.copy_of(model, EditNetConfig((0,)))).blocks["0"]
    main = Recorder()
    with torch.no_grad():
        model(*inputs(SHAPE), controls=(main,))
        read, tokens = main.read[0], main.read[1].x
        before = block.text_change(tokens, read)
        other = tokens.clone()
        other[:, :4] += 1.0 * torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(1))  # the target's
        after = block.text_change(other, read)
    assert torch.equal(after[:, 3:], before[:, 3:])
    assert (after[:, :3] - before[:, :3]).norm() > 1e-3 * before.norm()


@each_arm
def test_padded_words_change_nothing(config):
    """Rows of other lengths share a pass with guidance; each is what it is alone."""
    model = base_model(SHAPE)
    with_branch = ModelWithEditNet(model, moved(EditNet.copy_of(model, config)))
    x, _, conditioning = inputs(SHAPE, batch=1)
    t = torch.tensor([500])
    short = Conditioning(
        [text[:, :2] for text in conditioning.context], conditioning.indicator_embeddings, None, conditioning.references
    )
    both = answer(with_branch, torch.cat([x, x]), t, concatenate(conditioning, short, 1))
    alone = torch.cat([answer(with_branch, x, t, one) for one in (conditioning, short)])
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-5)


def test_two_branches_add_up_and_the_sampler_takes_such_a_model():
    model = base_model(SHAPE)
    nets = [moved(EditNet.copy_of(model, EditNetConfig((index,))), seed=index) for index in (0, 1)]
    both = ModelWithEditNet(ModelWithEditNet(model, nets[0]), nets[1], 0.5)
    with torch.no_grad():
        wanted = model(*inputs(SHAPE), controls=(*nets[1].at(0.5), *nets[0].at(1.0)))
    assert torch.equal(answer(both), wanted)
    assert not torch.equal(answer(both), answer(ModelWithEditNet(model, nets[0])))
    noise, _, conditioning = inputs(SHAPE)
    results = [sample(one, noise, conditioning, steps=2, guidance_scale=1.0) for one in (model, both)]
    assert results[1].isfinite().all() and not torch.equal(*results)


def test_a_branch_has_no_part_that_nothing_reads():
    net = EditNet.copy_of(base_model(SHAPE), EditNetConfig((0, 2)))
    names = set(net.state_dict())
    assert not any("norm_k" in name for name in names)
    assert "blocks.0.text_out.weight" in names and "blocks.2.text_out.weight" not in names


def test_blocks_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="copy of block 3 does not fit a model of 3 blocks"):
        EditNet(SHAPE, EditNetConfig((0, 3)))
    for wrong in ((), (1, 0), (0, 0), (-1,)):
        with pytest.raises(ValueError, match="from 0 and rising"):
            EditNetConfig(wrong)
    assert EditNetConfig.every(2, 5).blocks == (0, 2, 4)


def test_a_model_without_controls_is_what_it_was():
    """The base's forward pass with a control that does nothing, and without one."""
    model: ACEModel = base_model(SHAPE)
    with torch.no_grad():
        assert torch.equal(model(*inputs(SHAPE), controls=(Recorder(),)), answer(model))
