"""Words as ACE++ reads them: T5's tokens with the special ones that its training added."""

from __future__ import annotations

from typing import Any

from ..lcu.indicators import INDICATORS
from ..notices import Notify, silent
from ..text import tokenize

MAX_TOKENS = 512
PAD_TOKEN = 0
_FIRST_SPECIAL_ID = 32100
# In the order of the published training configurations, LoRA and full fine-tune; "<img>" stands before what ACE has.
_SPECIAL_TOKENS = ("<img>", "{image}", "{caption}", "{mask}", "{ref_image}", *INDICATORS[1:])
SPECIAL_IDS = {token: _FIRST_SPECIAL_ID + k for k, token in enumerate(_SPECIAL_TOKENS)}


def prompt_ids(text: str, tokenizer: Any, notify: Notify = silent, name: str = "the instruction") -> list[int]:
    """Instruction -> 512 ids, padded as FLUX's training did; arguments as for :func:`ace.text.tokenize`."""
    ids = tokenize(text, tokenizer, notify, name, special=SPECIAL_IDS, max_tokens=MAX_TOKENS)
    return [*ids, *[PAD_TOKEN] * (MAX_TOKENS - len(ids))]
