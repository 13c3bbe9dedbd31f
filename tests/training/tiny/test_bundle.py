"""The VAE, text encoder and tokenizer of the ace-tiny that is shipped."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("skimage")
pytest.importorskip("sklearn")

import comfyui_ace
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.pipeline import ACEPipeline
from comfyui_ace.ace.text import T5TextEncoder, encode_text
from comfyui_ace.ace.vae import DiffusersVAE
from comfyui_ace.training.tiny.world.edits import EDITS
from comfyui_ace.training.tiny.world.examples import Examples, all_instructions
from comfyui_ace.training.tiny.world.phrasings import PHRASINGS
from comfyui_ace.training.tiny.world.pictures import Pictures

FOLDER = Path(comfyui_ace.__file__).parent / "bundles" / "ace-tiny"
MEGABYTE = 1_000_000
_WHOLE = [name for name in EDITS if name not in ("deblur", "sharpen")]  # these two change little, and the VAE loses it
_WHOLE_OF_MUCH = ["invert", "grayscale", "brighten", "cool", "sepia", "edges", "flip_horizontally"]


@pytest.fixture(scope="module")
def bundle():
    return find_bundle(FOLDER)


@pytest.fixture(scope="module")
def vae(bundle):
    return DiffusersVAE.load(bundle.vae)


@pytest.fixture(scope="module")
def encoder(bundle):
    return T5TextEncoder.load(bundle.text_encoder, bundle.tokenizer, dtype=torch.float32)


@pytest.fixture(scope="module")
def photographs():
    pictures = Pictures("validation", seed=2, photographs=1.0)
    return torch.stack([pictures[index] for index in range(12)])


def test_it_is_small(bundle):
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 40 * MEGABYTE
    assert bundle.vae.stat().st_size < 8 * MEGABYTE
    assert bundle.defaults.max_tokens == 64


def test_held_out_photographs_come_back_recognisably_and_in_their_colours(vae, photographs):
    back = vae.decode(vae.encode(photographs))
    psnr = -10 * (back - photographs).square().mean((1, 2, 3)).log10()
    assert psnr.mean() > 24
    assert (back - photographs).mean((1, 2)).abs().mean() < 0.02


def test_latents_have_about_unit_deviation(vae, photographs):
    latent = vae.encode(photographs)
    assert latent.shape == (12, 4, 16, 16)
    assert 0.7 < latent.std() < 1.4


def test_other_sizes_than_those_of_training_keep_their_colours(vae):
    image = Pictures("validation", size=(256, 192), seed=2, photographs=1.0)[0][None]
    back = vae.decode(vae.encode(image))
    assert back.shape == image.shape
    assert (back - image).mean((1, 2)).abs().max() < 0.03


def test_embeddings_have_about_unit_size(encoder):
    assert encode_text("invert the colors of {image}", encoder).std().item() == pytest.approx(1.0, abs=0.2)


@pytest.fixture(scope="module")
def meanings(encoder):
    """By meaning, the mean embeddings of its instructions, (phrasings, Y)."""
    groups = all_instructions().items()
    return {meaning: torch.cat([encode_text(text, encoder).mean(1) for text in texts]) for meaning, texts in groups}


def test_each_instruction_is_nearest_to_the_middle_of_those_that_ask_for_the_same(meanings):
    right = [understood(mean, meanings) == meaning for meaning, means in meanings.items() for mean in means]
    assert sum(right) / len(right) > 0.97


def understood(mean, meanings):
    """The meaning whose instructions lie nearest, by the angle seen from the middle of all of them."""
    middle = torch.cat(list(meanings.values())).mean(0)
    centres = torch.stack([means.mean(0) for means in meanings.values()])
    return list(meanings)[torch.cosine_similarity((mean - middle)[None], centres - middle).argmax()]


@pytest.fixture(scope="module")
def pipeline(bundle):
    return ACEPipeline.load(bundle, device="cpu", dtype=torch.float32)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("invert all colors of {image}", "invert"),
        ("make {image} brighter please", "brighten"),
        ("lighten the whole {image}", "brighten"),
        ("posterise this {image}", "posterise"),
        ("convert this {image} to greyscale", "grayscale"),
        ("{image} in sepia tones", "sepia"),
        ("now blur {image}", "blur"),
        ("mirror the whole {image}", "flip_horizontally"),
        ("the edges of {image}", "edges"),
    ],
)
def test_words_it_was_not_trained_on_do_what_they_say(done, said, meant):
    assert said not in sum(all_instructions().values(), ())
    assert done(said) == meant


@pytest.mark.parametrize("edit", _WHOLE)
def test_each_of_its_phrasings_does_what_it_says(done, edit):
    assert {phrasing: done(phrasing) for phrasing in PHRASINGS[edit]} == dict.fromkeys(PHRASINGS[edit], edit)


@pytest.fixture(scope="module")
def done(pipeline):
    """``done(said)``: what was done with a picture; of all edits' targets the result is nearest to this one's."""
    pictures = Pictures("validation", seed=7)
    image = pictures[1]
    rng = np.random.default_rng(0)
    targets = {name: EDITS[name].make(rng, image, pictures).target for name in _WHOLE}

    def nearest(said):
        result = pipeline(LongContext(ConditionUnit(said, [ConditionImage(image[None])])), seed=1).images[0]
        distances = {name: (result - target).abs().mean().item() for name, target in targets.items()}
        return min(distances, key=distances.get)

    return nearest


@pytest.mark.parametrize("colour", ["green", "blue"])
def test_it_paints_what_it_is_told(pipeline, colour):
    context = LongContext(ConditionUnit(f"a big circle on a {colour} background"))
    picture = pipeline(context, seed=3, steps=12, guidance_scale=5.0, resolution=Resolution.exact(128, 128)).images[0]
    corner = picture[:12, :12].mean((0, 1))
    assert corner.argmax().item() == {"green": 1, "blue": 2}[colour]
    assert corner.max() > 1.5 * corner.sort().values[1]


@pytest.mark.parametrize("edit", [*_WHOLE_OF_MUCH, "undo"])
def test_an_edit_of_held_out_pictures_is_far_nearer_to_the_target_than_the_picture_is(pipeline, edit):
    examples = Examples("validation", seed=5)
    student = untouched = 0.0
    for number in range(4):
        example = examples.of(edit, number)
        result = pipeline(example.context, seed=number).images
        student += (result - example.target).abs().mean().item()
        untouched += (example.context.unit.images[0].image - example.target).abs().mean().item()
    assert student < 0.6 * untouched
