"""A server that is not ours, `transformers serve`, with a vision-language model of random weights.

It proves the wire: that the server takes what is sent, that pictures reach the model, and what becomes of answers that
make no sense. Nothing can be learnt from it about judging.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from comfyui_ace.training.judge.judges import LanguageModelJudge
from comfyui_ace.training.judge.prompts import PairPictures, semantic_question
from comfyui_ace.training.vision_language.errors import ModelError, ProbeFailed
from comfyui_ace.training.vision_language.probe import probe
from comfyui_ace.training.vision_language.request import LabelledImage, Request
from comfyui_ace.training.vision_language.response_format import FormatMemory
from comfyui_ace.training.vision_language.servers import open_backend
from PIL import Image

_NEEDED = ("transformers.cli.serving", "fastapi", "uvicorn", "openai", "multipart", "tokenizers")


def _there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not all(map(_there, _NEEDED)), reason="transformers' server is not installed (pip install transformers[serving])"
)
_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}\n{% endfor %}<assistant>"
)
_PATCHES = 4  # tokens of a picture: 28 pixels in patches of 14


def save_model(folder) -> None:
    """LLaVA as small as its parts allow, whose tokens are bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokens.pre_tokenizer, tokens.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token="<end>", pad_token="<pad>", unk_token="<end>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    picture = tokenizer.convert_tokens_to_ids("<image>")
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**shape, image_size=28, patch_size=14),
        text_config=LlamaConfig(
            **shape, vocab_size=len(tokenizer), max_position_embeddings=16384, eos_token_id=tokenizer.eos_token_id
        ),
        image_token_id=picture,
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():  # weights as small as usual would hardly tell pictures apart
        for parameter in model.parameters():
            parameter.mul_(10)
    model.save_pretrained(folder)
    size = {"shortest_edge": 28}
    LlavaProcessor(
        CLIPImageProcessorPil(size=size, crop_size={"height": 28, "width": 28}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=_TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port = probe_socket.getsockname()[1]
    log = folder / "server.log"
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}", str(folder)
    finally:
        process.terminate()
        process.wait(30)


def _wait(address, process, log):
    until = time.monotonic() + 550
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture
def backend(server):
    address, model = server
    return open_backend(address, model, kind="openai", memory=FormatMemory(), timeout=300)


def plain(*pictures, words="say", tokens=6):
    parts = [LabelledImage(f"Image {k}", picture) for k, picture in enumerate(pictures, 1)]
    return Request((*parts, words), max_tokens=tokens)


def colour(name):
    return Image.new("RGB", (32, 32), name)


def test_pictures_reach_the_model(backend):
    """Each takes its tokens, and another picture gives another answer."""
    none, one, two = (backend.ask(plain(*map(colour, names))) for names in ((), ["red"], ["red", "blue"]))
    labels = [len(f"Image {k}") for k in (1, 2)]
    assert one.usage.prompt_tokens >= none.usage.prompt_tokens + _PATCHES + labels[0]
    assert two.usage.prompt_tokens >= one.usage.prompt_tokens + _PATCHES + labels[1]
    assert two.usage.completion_tokens == 6 and two.truncated
    again, swapped = (
        backend.ask(plain(colour("red"), colour("blue"))),
        backend.ask(plain(colour("blue"), colour("red"))),
    )
    assert again.text == two.text != swapped.text


def test_a_model_of_random_weights_does_not_pass_for_one_that_sees(backend):
    with pytest.raises(ProbeFailed, match="red and then a blue square"):
        probe(backend)


def test_what_it_says_is_no_score(backend, monkeypatch):
    from comfyui_ace.training.judge import prompts

    monkeypatch.setattr(prompts, "_TOKENS", 8)
    judge = LanguageModelJudge(backend)
    judgement = judge.judge(PairPictures(colour("red"), colour("blue"), "make it blue"))
    assert not judgement.scored and judgement.overall is None
    assert judge.repeated == 2 and judge.usage.prompt_tokens > 1000


def test_json_is_asked_for_as_the_server_can(backend, monkeypatch):
    from comfyui_ace.training.judge import prompts

    monkeypatch.setattr(prompts, "_TOKENS", 8)
    answer = backend.ask(semantic_question(PairPictures(colour("red"), colour("blue"), "make it blue")).request)
    assert answer.format == "none", "the server knows neither schema nor JSON, so it is asked in words"


def test_a_model_that_is_not_there_is_said(server):
    with pytest.raises(ModelError):
        open_backend(server[0], "nobody/nothing", kind="openai", memory=FormatMemory(), timeout=60).ask(plain())
