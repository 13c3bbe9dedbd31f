"""What the page is told of labels, and what a person decides about them."""

from __future__ import annotations

from typing import Any

from ...training.dataset.curation.catalogue import Catalogue
from ...training.label.journal import LabelJournal, Words
from ...training.label.review import accept, reject, take_back
from ..pages.requests import BadRequestError
from .answers import kept_item
from .requests import LabelRequest, LabelWords


def decide_label(catalogue: Catalogue, journal: LabelJournal, asked: LabelRequest) -> dict[str, Any]:
    """Carries a decision out.

    Returns:
        The pair as it is now, and what takes the decision back: ``before`` with the earlier words, or None.

    Raises:
        BadRequestError: words are missing.
        PairError, StalePairError, UnknownPairError, WriteError: as ``training.label.review``.
    """
    pair, version, before = asked.pair.id, asked.pair.version, None
    if asked.action == "accept":
        if asked.words is None:
            raise BadRequestError("Accepting needs words.")
        captions = (asked.words.source_caption, asked.words.target_caption)
        before = accept(catalogue, journal, pair, version, asked.words.texts, captions)
    elif asked.action == "reject":
        catalogue.entry(pair)
        reject(journal, pair)
    else:
        take_back(catalogue, journal, pair, version, _words(asked.words))
    catalogue.refresh()
    return {
        "pair": kept_item(catalogue, catalogue.entry(pair)),
        "before": None if before is None else _as_sent(before),
    }


def _words(words: LabelWords | None) -> Words | None:
    if words is None:
        return None
    if not words.texts:
        raise BadRequestError("The words before need an instruction.")
    return Words(words.texts[0], tuple(words.texts[1:]), words.source_caption, words.target_caption)


def _as_sent(words: Words) -> dict[str, Any]:
    return {
        "texts": [words.instruction, *words.phrasings],
        "source_caption": words.source_caption,
        "target_caption": words.target_caption,
    }
