"""Instructions for the paper's tasks: 8 families, their subtasks, several phrasings of each in English and Chinese.

>>> from comfyui_ace.ace import instructions
>>> instructions.render("element-object-remove", {"object": "the parked car"}, seed=3)
"""

from __future__ import annotations

from .registry import LANGUAGE_NOTE, SlotHelp, connect_help, describe, families, get_template, slot_help, subtasks
from .render import render, render_bilingual, unreadable_letters
from .template import ALL_IMAGES, LANGUAGES, Slot, Template

__all__ = [
    "ALL_IMAGES",
    "LANGUAGES",
    "LANGUAGE_NOTE",
    "Slot",
    "SlotHelp",
    "Template",
    "connect_help",
    "describe",
    "families",
    "get_template",
    "render",
    "render_bilingual",
    "slot_help",
    "subtasks",
    "unreadable_letters",
]
