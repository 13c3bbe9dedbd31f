"""Loading by transformers without its bars and reports: what is missing is told by ours."""

from __future__ import annotations

from typing import Any

import torch


def load_quietly(kind: type, place: Any, **options: Any) -> tuple[torch.nn.Module, set[str]]:
    """A model by its ``from_pretrained``, and the keys for which there were no weights.

    Args:
        kind: a class of transformers.
        place: a folder; None where the options hold configuration and weights.
        options: of ``from_pretrained``.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        module, info = kind.from_pretrained(place, output_loading_info=True, **options)
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    return module, set(info["missing_keys"])
