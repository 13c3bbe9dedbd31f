"""The texts of pairs: on one line, with the pictures that an instruction may name, and nothing that was lost."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from ....ace.lcu.indicators import indicator
from ....ace.text_files import LOST_LETTER
from ...errors import PairError
from ..disk.names import slug

_INDICATOR = re.compile(r"[{<]image([1-9]?)[}>]")
_OPENING = re.compile(r"\s*(?:[{<]image[1-9]?[}>]\s*[,:;.]?\s*)+")
_THE_IMAGE = "the image"
_NUMBERED = re.compile(r"\bimage ([1-9]|10)\b")
_MAX_TEXT = 20_000
LOST_LETTERS = (
    f"holds {LOST_LETTER} (U+FFFD), which programs write in place of a letter that they cannot read. Write it again, "
    "and save its file as UTF-8."
)


def one_line(text: str) -> str:
    """Collapses white space, line breaks included: captions are read line by line by some trainers.

    Control characters and halves of surrogate pairs, which no text file should hold, are dropped or replaced.
    """
    visible = "".join(" " if c.isspace() else c for c in str(text) if c.isspace() or unicodedata.category(c) != "Cc")
    return " ".join(visible.encode("utf-8", "replace").decode().split())


def plain_prompt(instruction: str, images: int) -> str:
    """The instruction without tokens that only ACE knows.

    With one picture a leading ``{image}`` is dropped and any other becomes "the image"; with several they become
    "image 1", "image 2" and so on, as other edit models are addressed.
    """
    if images <= 1:
        text = re.sub(r"^\s*[{<]image[}>]\s*[,:;.]?\s*", "", instruction)
        return one_line(_INDICATOR.sub(_THE_IMAGE, text))
    return one_line(_INDICATOR.sub(lambda match: f"image {int(match.group(1) or 0) + 1}", instruction))


def instruction_of_caption(caption: str, before: str, images: int) -> str:
    """The instruction that a pair has when its caption was edited: ``plain_prompt`` the other way round.

    A caption with ``{image}`` tokens is an instruction. Else "image 2" becomes ``{image1}`` where there are several
    pictures; with one, "the image" becomes ``{image}`` where the instruction named it within, and the tokens that the
    instruction began with stand before the caption again.

    Args:
        caption: on one line, as it reads now.
        before: the instruction so far.
        images: number of condition images.

    Raises:
        PairError: the caption is empty.
    """
    if not caption:
        raise PairError("The caption is empty.")
    if indicators(caption):
        return caption
    if images > 1:
        numbered = _NUMBERED.sub(lambda match: indicator(int(match.group(1)) - 1), caption)
        if indicators(numbered) or not indicators(before):
            return numbered
    opening = _OPENING.match(before)
    if opening is None and images == 1 and indicators(before) and _THE_IMAGE in caption:
        return caption.replace(_THE_IMAGE, indicator(0))
    return f"{opening.group(0).strip()} {caption}" if opening else caption


def trigger_instruction(dataset: str, images: int) -> str:
    """Instruction for pairs that come without any: the indicators of the images and a trigger word.

    Args:
        dataset: its name, of which the trigger word is made.
        images: number of condition images.
    """
    names = [indicator(index) for index in range(images)]
    return " ".join([*names, _trigger_word(dataset)])


def _trigger_word(dataset: str) -> str:
    """Latin letters and digits of a dataset's name; where others are lost, with a few that only this name gives.

    The text encoder knows Latin letters only, and two datasets must not share the word by which their edits are told.
    """
    plain = unicodedata.normalize("NFKD", dataset)
    if all(character.isascii() or not character.isalnum() for character in plain):
        return slug(dataset, fallback="trigger")
    number = hashlib.sha256(unicodedata.normalize("NFC", dataset).encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{slug(dataset, fallback='trigger')}-{number}"


def indicators(instruction: str) -> set[int]:
    """Indices of the images that an instruction names: 0 for ``{image}``, 1 for ``{image1}`` …"""
    return {int(match.group(1) or 0) for match in _INDICATOR.finditer(instruction)}


def check_instruction(instruction: str, images: int) -> None:
    """Checks that an instruction fits a pair with so many condition images (and no history).

    Raises:
        PairError: it is too long, has lost letters, or names an image that the pair does not have.
    """
    check_text(instruction, "instruction")
    missing = sorted(index for index in indicators(instruction) if index >= max(images, 1))
    if missing:
        token = "{image" + (str(missing[0]) if missing[0] else "") + "}"
        raise PairError(f"The instruction names {token}, but the pair has {images} condition image(s).")


def checked_line(text: str, what: str) -> str:
    """A text of a pair on one line; ``what`` it is, for the message.

    Raises:
        PairError: it is too long, or has lost letters.
    """
    line = one_line(text)
    check_text(line, what)
    return line


def checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags on one line each, and once.

    Raises:
        PairError: one is too long, or has lost letters.
    """
    return tuple(dict.fromkeys(line for line in (checked_line(tag, "tag") for tag in tags) if line))


def check_text(text: str, what: str) -> None:
    """Raises PairError: a text is too long or has lost letters; ``what`` it is, for the message."""
    if len(text) > _MAX_TEXT:
        raise PairError(f"The {what} has {len(text)} characters, at most {_MAX_TEXT}.")
    if LOST_LETTER in text:
        raise PairError(f"The {what} {LOST_LETTERS}")


def check_phrasings(phrasings: Sequence[str], instruction: str, images: int) -> tuple[str, ...]:
    """Further instructions of a pair, each on one line and once; none that is the first one again.

    Raises:
        PairError: one of them is none for a pair with so many condition images.
    """
    found = distinct_phrasings(phrasings, instruction)
    for words in found:
        check_instruction(words, images)
    return found


def distinct_phrasings(phrasings: Iterable[str], instruction: str) -> tuple[str, ...]:
    """Further instructions as a row keeps them: each on one line and once; none that is the first one again."""
    found = dict.fromkeys(one_line(words) for words in phrasings)
    return tuple(words for words in found if words and words != instruction)
