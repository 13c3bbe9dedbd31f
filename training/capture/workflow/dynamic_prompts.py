"""Text of widgets with dynamic prompts, as the browser settles it when it queues."""

from __future__ import annotations

import hashlib
import random
import re


def process_dynamic_prompt(text: str) -> str:
    """Text of a widget with dynamic prompts: comments removed, one of {a|b} chosen.

    The browser chooses at random at every run. Here the text itself decides, so that a graph stays the same graph.
    """
    rng = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return _choose(text, rng)


def _choose(text: str, rng: random.Random) -> str:
    text = re.sub(r"/\*[\s\S]*?\*/|//.*", "", text)
    result, position = [], 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            result.append(text[position : position + 2])
            position += 2
        elif character == "{":
            options, position = _alternatives(text, position + 1)
            result.append(_choose(rng.choice(options), rng))
        else:
            result.append(character)
            position += 1
    return re.sub(r"\\([{}|])", r"\1", "".join(result))


def _alternatives(text: str, position: int) -> tuple[list[str], int]:
    """The alternatives that begin at ``position``, behind an opening brace, and the position behind its closing one."""
    options, depth, begin = [], 0, position
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == "{":
            depth += 1
        elif character == "}" and not depth:
            break
        elif character == "}":
            depth -= 1
        elif character == "|" and not depth:
            options.append(text[begin:position])
            begin = position + 1
        position += 1
    options.append(text[begin:position])
    return options, position + 1
