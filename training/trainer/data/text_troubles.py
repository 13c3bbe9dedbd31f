"""What is wrong with the texts of a dataset, said once of all of them: thousands of captions may have the same fault."""

from __future__ import annotations

from typing import Any

from ....ace.notices import Notify
from ....ace.text import SHOWN_LETTERS, clean_text, unknown_letters

_SHOWN_PAIRS = 5


class TextTroubles:
    """Counts the texts of which the text encoder does not see all, and remembers whose the first are."""

    def __init__(self) -> None:
        self._unknown: list[str] = []
        self._letters: dict[str, None] = {}
        self._cut: list[str] = []
        self._cut_first = ""

    def look_at(self, text: str, tokenizer: Any, pair: str) -> None:
        """Looks for letters of a pair's text that the tokenizer does not know."""
        lost = unknown_letters(clean_text(text), tokenizer)
        if lost:
            self._unknown.append(pair)
            self._letters.update(dict.fromkeys(lost))

    def cut(self, pair: str, message: str) -> None:
        """A text of a pair is too long, as the message says."""
        self._cut.append(pair)
        self._cut_first = self._cut_first or message

    def report(self, notify: Notify) -> None:
        """Says what there was, a sentence for each fault."""
        if self._unknown:
            letters = list(self._letters)
            more = " …" if len(letters) > SHOWN_LETTERS else ""
            notify(
                f"{_texts(self._unknown)} letters that the text encoder does not know, and does not see: "
                f"{' '.join(letters[:SHOWN_LETTERS])}{more}. Write captions in English, which ACE was trained on; a word "
                "that is to be learned as a trigger has to be in Latin letters"
            )
        if self._cut:
            notify(f"{_texts(self._cut)} more words than ACE reads. Of the first: {self._cut_first}")


def _texts(pairs: list[str]) -> str:
    """ "3 texts (of the pairs a, b and others) have"."""
    named = list(dict.fromkeys(pairs))
    shown = ", ".join(named[:_SHOWN_PAIRS])
    others = " and others" if len(named) > _SHOWN_PAIRS else ""
    whose = f"of the pair{'' if len(named) == 1 else 's'} {shown}{others}"
    return f"1 text ({whose}) has" if len(pairs) == 1 else f"{len(pairs)} texts ({whose}) have"
