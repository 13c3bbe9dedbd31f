"""Teaches the small text encoder a synonym: ``python -m comfyui_ace.training.tiny.synonyms BUNDLE lighten=brighten``.

The word takes the place of a piece that no sentence uses, and the embedding of a word that means the same. Nothing is
trained, and every other sentence is read as before, which further training of the encoder does not leave so.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from ...ace.files import atomic_write
from .text import T5_NAME
from .text_corpus import corpus, describe

_SPACE = "▁"  # what a tokenizer of this kind writes for the space before a word
_DESCRIBED = 3000  # descriptions of pictures in which a piece must not be used
_EMBEDDINGS = "shared.weight"


def teach(bundle: Path, word: str, synonym: str) -> str:
    """Changes tokenizer and text encoder of a bundle.

    Args:
        bundle: folder of a bundle with a tokenizer and a text encoder as ``training.tiny.text`` makes them.
        word: the new one, spelt as it is read; capitals make another word.
        synonym: that means the same, and that the tokenizer does not take apart.

    Returns:
        The piece whose place the word has taken.

    Raises:
        ValueError: the word is known already, the synonym is not, or every piece is used.
    """
    models = bundle / "models"
    tokenizer_file = models / "tokenizer" / T5_NAME / "tokenizer.json"
    weights_file = models / "text_encoder" / T5_NAME / "model.safetensors"
    stored = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    vocabulary = stored["model"]["vocab"]
    places = {piece: place for place, (piece, _) in enumerate(vocabulary)}
    new, old = _SPACE + word, _SPACE + synonym
    if new in places:
        raise ValueError(f"{word!r} is a word of this tokenizer already; nothing is to be done")
    if old not in places:
        raise ValueError(
            f"{synonym!r} is no word of this tokenizer, so it cannot lend {word!r} its meaning; choose another"
        )
    place = _unused(tokenizer_file, vocabulary)
    given_up, vocabulary[place] = vocabulary[place][0], [new, vocabulary[places[old]][1]]
    weights = load_file(weights_file)
    embeddings = weights[_EMBEDDINGS].clone()
    embeddings[place] = embeddings[places[old]]
    with atomic_write(weights_file) as temporary:
        save_file({**weights, _EMBEDDINGS: embeddings}, temporary, metadata={"format": "pt"})
    with atomic_write(tokenizer_file) as temporary:
        temporary.write_text(json.dumps(stored, ensure_ascii=False, indent=2), encoding="utf-8", newline="\n")
    return given_up


def _unused(tokenizer_file: Path, vocabulary: list[list[Any]]) -> int:
    """The place of the least likely piece of several letters that no sentence of the corpus is read with."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    rng = np.random.default_rng(0)
    sentences = [*corpus().sentences, *(describe(rng).sentence for _ in range(_DESCRIBED))]
    used = {place for encoded in tokenizer.encode_batch(sentences) for place in encoded.ids}
    free = [
        place
        for place, (piece, _) in enumerate(vocabulary)
        if place not in used and len(piece.strip(_SPACE)) > 1 and not piece.startswith("<")
    ]
    if not free:
        raise ValueError("every piece of this tokenizer is used, so no word can take the place of one")
    return min(free, key=lambda place: vocabulary[place][1])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.training.tiny.synonyms", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="WORD=SYNONYM")
    arguments = parser.parse_args()
    for pair in arguments.pairs:
        word, _, synonym = pair.partition("=")
        if not word or not synonym:
            parser.error(f"{pair!r} is not WORD=SYNONYM, for example lighten=brighten")
        print(f"{word} means {synonym}, in place of {teach(arguments.bundle, word, synonym)}")


if __name__ == "__main__":
    main()
