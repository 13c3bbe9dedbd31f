"""The host's own vision-language models as judges: what they are shown, in order, and what a host without them says."""

from __future__ import annotations

from typing import ClassVar

import comfy.sd
import pytest
import torch
from PIL import Image

_IMAGE_PAD = 151655  # of the Qwen family


@pytest.fixture(scope="module")
def clip():
    """Qwen3-VL of random weights, as small as its parts allow; None where the host has none."""
    qwen3vl = pytest.MonkeyPatch()
    try:
        import comfy.text_encoders.qwen3vl as module
    except ImportError:
        yield None
        return
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"num_key_value_heads": 1}
    config = module.Qwen3VL_4BConfig
    qwen3vl.setitem(module.QWEN3VL_CONFIGS, "qwen3vl_4b", lambda **given: config(**{**given, **shape}))
    vision = {"hidden_size": 64, "intermediate_size": 96, "depth": 2, "deepstack_visual_indexes": [0]}
    qwen3vl.setitem(module.QWEN3VL_VISION, "qwen3vl_4b", vision)

    class Target:
        params: ClassVar = {}
        clip = module.te(model_type="qwen3vl_4b")
        tokenizer = module.tokenizer("qwen3vl_4b")

    torch.manual_seed(0)
    made = comfy.sd.CLIP(Target, model_options={"dtype": torch.float32})
    with torch.inference_mode():
        for parameter in made.cond_stage_model.parameters():
            parameter.copy_(0.05 * torch.randn_like(parameter))
    yield made
    qwen3vl.undo()


@pytest.fixture(scope="module")
def room(pack):
    return pack("nodes.training.text_generation")


def request_about(pack, *pictures):
    module = pack("training.vision_language.request")
    labelled = [module.LabelledImage(f"Image {k}", picture) for k, picture in enumerate(pictures, 1)]
    return module.Request((*labelled, "What {differs}?"), system="You look.", schema={"type": "object"}, max_tokens=4)


def _no_text_is_written_here() -> None:
    """A host that has no Qwen3-VL must be one whose text encoders write nothing, or a model of its own is missed."""
    assert not hasattr(comfy.sd.CLIP, "generate")


def test_both_pictures_arrive_in_order(pack, room, clip):
    if clip is None:
        return _no_text_is_written_here()
    model = room.HostTextModel(clip)
    request = request_about(pack, Image.new("RGB", (64, 96), "red"), Image.new("RGB", (128, 64), "blue"))
    tokens = clip.tokenize(room._words(request), image=room._batch(request), skip_template=False, thinking=False)
    (row,) = tokens["qwen3vl_4b"]
    pictures = [token[0]["data"] for token in row if isinstance(token[0], dict)]
    assert len(pictures) == 2 and not any(token[0] == _IMAGE_PAD for token in row if not isinstance(token[0], dict))
    assert all(picture.shape == (1, 96, 128, 3) for picture in pictures)
    middle = [picture[0, 48, 64].tolist() for picture in pictures]
    assert middle == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    text = clip.decode([token[0] for token in row if not isinstance(token[0], dict)], skip_special_tokens=False)
    for words in ("You look.", 'The first picture is "Image 1".', "What {differs}?", '{"type": "object"}'):
        assert words in text
    assert model.model == "qwen3vl_4b" and model.address is None


def test_it_answers(pack, room, clip):
    """Random weights say nothing sensible, but they say it about these pictures: another picture, another answer."""
    if clip is None:
        return _no_text_is_written_here()
    model = room.HostTextModel(clip)
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    answers = [model.ask(request_about(pack, Image.new("RGB", (64, 64), "red"), second)) for second in (noise, noise)]
    assert answers[0].text and answers[0].text == answers[1].text and answers[0].truncated
    assert answers[0].model == "qwen3vl_4b" and answers[0].json() is None


def test_what_cannot_write_is_refused(room):
    class OldClip:
        cond_stage_model = object()

    with pytest.raises(Exception, match="has no text generation"):
        room.HostTextModel(OldClip())
