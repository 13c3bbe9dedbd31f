"""Instructions -> text embeddings: cleaning, tokens and the T5 encoder."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from .lcu.indicators import INDICATORS, SPECIAL_TOKENS, split_special_tokens
from .notices import Notify, silent
from .weights.containers import check_finite

MAX_TOKENS = 120  # including the end token
END_TOKEN = 1
SHOWN_LETTERS = 12
# Plain T5 tokenizers end at 32099; T5's embedding table has 32128 rows.
_FIRST_SPECIAL_ID = 32100


class TextEncoder(Protocol):
    """Anything that turns token ids into embeddings.

    Attributes:
        tokenizer: a Hugging Face tokenizer of the T5 family.
    """

    tokenizer: Any

    def embed(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """B texts of L ids each -> (B, L, Y)."""
        ...


def clean_text(text: str) -> str:
    """Repairs broken encodings (ftfy), unescapes HTML twice and collapses white space, as ACE's training did."""
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split())


def special_token_ids(tokenizer: Any) -> dict[str, int]:
    """Ids of ACE's special tokens: the tokenizer's own where it has them, else those they get in a plain T5."""
    vocabulary = tokenizer.get_vocab()
    return {token: vocabulary.get(token, _FIRST_SPECIAL_ID + k) for k, token in enumerate(SPECIAL_TOKENS)}


def tokenize(
    text: str,
    tokenizer: Any,
    notify: Notify = silent,
    name: str = "the instruction",
    *,
    letters: bool = True,
    special: Mapping[str, int] | None = None,
    max_tokens: int = MAX_TOKENS,
) -> list[int]:
    """Instruction -> at most ``max_tokens`` token ids, the last one the end token.

    The pieces between special tokens are tokenized one by one, so that any T5 tokenizer gives the same ids whether or
    not it knows the special tokens.

    Args:
        text: as the artist wrote it.
        tokenizer: a Hugging Face tokenizer of the T5 family.
        notify: told which end of a long instruction is left out, and which letters are unknown.
        name: what messages call the text.
        letters: whether unknown ones are spoken of; of many texts, say it once of all.
        special: ids of the special tokens; None for those of ACE.
        max_tokens: that the model reads, including the end token.
    """
    special = special_token_ids(tokenizer) if special is None else special
    text = clean_text(text)
    ids: list[int] = []
    if letters and (lost := unknown_letters(text, tokenizer)):
        notify(
            f"{name} has letters that the text encoder does not know, and does not see: {' '.join(lost[:SHOWN_LETTERS])}"
            f"{' …' if len(lost) > SHOWN_LETTERS else ''}. Write it in English, which ACE was trained on; a word that "
            "was learned as a trigger has to be in Latin letters"
        )
    for piece in split_special_tokens(text):
        if piece in special:
            ids.append(special[piece])
        else:
            ids += [token for token in tokenizer(piece)["input_ids"] if token != END_TOKEN]
    if len(ids) >= max_tokens:
        dropped = tokenizer.decode(ids[max_tokens - 1 :])
        notify(f"{name} is {len(ids) + 1} tokens long and ACE reads {max_tokens}; this end was left out: «{dropped}»")
        ids = ids[: max_tokens - 1]
    return [*ids, END_TOKEN]


def unknown_letters(text: str, tokenizer: Any) -> list[str]:
    """The characters of a cleaned text for which a tokenizer has no token, each once, in order."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None or text.isascii():
        return []
    letters = dict.fromkeys(letter for letter in text if not letter.isascii() and not letter.isspace())
    return [letter for letter in letters if unknown in tokenizer(letter)["input_ids"]]


def encode_text(
    text: str, encoder: TextEncoder, notify: Notify = silent, name: str = "the instruction", *, letters: bool = True
) -> torch.Tensor:
    """Instruction -> (1, L, Y), L at most 120; ``notify``, ``name`` and ``letters`` as in :func:`tokenize`."""
    return encoder.embed([tokenize(text, encoder.tokenizer, notify, name, letters=letters)])


def encode_indicators(encoder: TextEncoder, count: int = len(INDICATORS)) -> torch.Tensor:
    """The I-Emb table: first embedding of each indicator encoded alone, (count, Y).

    The published table has ten rows. Ten condition images need an eleventh, for the target: the word that would come
    next, which the published models were not trained with.
    """
    # One pass for all, each being its own token and the end: a large encoder spends its time on reading its weights.
    table = encoder.embed([tokenize(word, encoder.tokenizer) for word in INDICATORS[:count]])[:, 0]
    if count <= len(INDICATORS):
        return table
    return torch.cat([table, encode_text(f"{{image{len(INDICATORS)}}}", encoder)[:, 0]])


class T5TextEncoder:
    """T5 through transformers, for use without a host.

    Args:
        model: a ``transformers.T5EncoderModel`` in eval mode.
        tokenizer: its tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def load(
        cls,
        folder: str | Path,
        tokenizer: str | Path | None = None,
        *,
        dtype: torch.dtype = torch.bfloat16,
        device: torch.device | str = "cpu",
    ) -> T5TextEncoder:
        """Loads a folder in transformers' layout.

        Args:
            folder: with config.json and weights.
            tokenizer: folder of the tokenizer, if it is another one.
            dtype: of the encoder; embeddings are float32 in any case.
            device: of the encoder.

        Raises:
            ValueError: the folder holds no T5 encoder or no tokenizer, or weights that are no numbers.
        """
        from transformers import AutoTokenizer, T5EncoderModel

        for name, path in (("text encoder", folder), ("tokenizer", tokenizer or folder)):
            if not Path(path).is_dir():
                raise ValueError(f"the {name} must be a folder in transformers' layout (config.json, …), got {path}")
        try:
            model = T5EncoderModel.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
            loaded_tokenizer = AutoTokenizer.from_pretrained(
                str(tokenizer or folder), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"no T5 encoder and tokenizer could be loaded from {folder}: {error}; choose a folder with config.json, "
                "weights and a tokenizer"
            ) from error
        check_finite(Path(folder), dict(model.named_parameters()))
        return cls(model.eval().to(device), loaded_tokenizer)

    @torch.no_grad()
    def embed(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """B texts of L ids each -> (B, L, Y) float32."""
        ids = torch.tensor([list(text) for text in token_ids], device=self.model.device)
        return self.model(input_ids=ids).last_hidden_state.float()
