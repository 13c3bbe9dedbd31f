"""Secrets that stand in a graph's widgets: recognised and left out before a graph is written anywhere.

Three signs are used: the name of the field, the shape of the value, and the link (a text box whose output runs into a
field called ``api_key`` holds a key, whatever the box is called; one that runs into ``token`` holds one if it looks
random). What is taken for a secret and is none costs a widget value in a record; the reverse costs somebody an account.
So doubt counts as a secret.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

REMOVED = "[removed]"

# Any text in such a field is a secret.
_SECRET_FIELD = re.compile(
    r"(api|access|secret|private|auth|service|account|subscription|encryption|signing|license)[ _-]?key|apikey"
    r"|pass(word|wd|phrase)|(^|[ _-])pwd($|[ _-])|(^|(user|login|db|smtp|ftp|proxy|auth)[ _-]?)pass$"
    r"|secret|credential|authori[sz]ation|bearer"
    r"|(access|auth|api|refresh|session|id|bot|user|hf|hugging[ _-]?face|civitai|github|personal)[ _-]?token|cookie",
    re.IGNORECASE,
)
# Text in such a field is a secret only if it looks random: ``token`` is also a trigger word, ``key`` also a column.
_DOUBTFUL_FIELD = re.compile(
    r"(^|[ _-])(key|token|auth|pass|pat|sig|signature)s?($|[ _-])"
    # Named like a service alone; ``civitai_hash`` and ``openai_model`` are what they say.
    r"|^(civitai|hugging[ _-]?face|hf|openai|anthropic|claude|gemini|replicate|stability|runpod|fal|groq|deepl"
    r"|elevenlabs|openrouter|github|aws)$",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(
    r"\.(safetensors|sft|ckpt|pth?|bin|gguf|onnx|png|jpe?g|webp|gif|tiff?|exr|mp4|webm|wav|mp3|json|ya?ml|txt|csv|py)$",
    re.IGNORECASE,
)

_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}(\.[\w-]*)?"
    r"|\b(sk|pk|rk)[-_](?=[\w-]*\d)[\w-]{16,}"
    r"|\bhf_[A-Za-z0-9]{16,}"
    r"|\bapi_org_[A-Za-z0-9]{16,}"
    r"|\b(gh[pousr]|r8|nvapi|glpat|dop_v1|shpat|npm|pypi|tvly|xai|gsk|fal|key)[-_](?=[\w-]*\d)[\w-]{20,}"
    r"|\bgithub_pat_\w{20,}"
    r"|\bxox[abeoprs]-[\w-]{10,}"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{30,}"
    r"|\bcomfyui-[0-9a-f]{32,}"
    r"|\bya29\.[\w-]{20,}"
    r"|\bGOCSPX-[\w-]{20,}"
    r"|(?<!\d)\d{8,12}:AA[\w-]{30,}"  # Telegram's bots
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[0-9a-f]{32}\b"
)
# These keep what stands before the secret (group 1), so that the record still says what was there.
_KEEP_PREFIX = [
    re.compile(r"(https://(?:\w+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/)[\w/-]+", re.IGNORECASE),
    re.compile(r"(https://hooks\.slack\.com/(?:services|workflows|triggers)/)[\w/-]+", re.IGNORECASE),
    re.compile(
        r"((?<![\w-])--(?:\w+-)*(?:api-?key|access-?key|secret|token|password|passwd|pwd|auth)(?:=|\s+)[\"']?)"
        r"(?!\[removed\]|-)[^\s\"']{6,}",
        re.IGNORECASE,
    ),
    re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+(?=@)", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:?#]{16,}(?=@)", re.IGNORECASE),
    re.compile(
        r"([?&;](?:[\w-]*(?:key|token|secret|password|passwd|pwd|signature|credential)|sig|auth|code)=)[^\s&#;\"']+",
        re.IGNORECASE,
    ),
    re.compile(
        r"((?:api[_-]?key|[\w-]*token|[\w-]*secret|password|passwd|authorization|x-api)[\"']?\s*[:=]\s*[\"']?)"
        r"(?!\[removed\])(?=[^\s\"',;&}]*\d)[^\s\"',;&}]{8,}",
        re.IGNORECASE,
    ),
]


# Amazon's secrets have no mark of their own; they are 40 characters that nobody would type.
_FORTY = re.compile(r"(?<![A-Za-z0-9/+=_.-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_.-])")
_FORTY_ENTROPY = 4.4  # bits a character; paths and words in camel case have about 4


def redact_graph(graph: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Leaves the secrets out of a graph.

    Args:
        graph: API format.

    Returns:
        A copy without secrets, and where they stood (``node.input``), never what they were.
    """
    secret, doubtful = (_linked_to(graph, field) for field in (_SECRET_FIELD, _DOUBTFUL_FIELD))
    redactor = _Redactor(graph)
    clean = {}
    for node_id, node in graph.items():
        inputs = {
            str(name): redactor.clean(
                value, str(name), f"{node_id}.{name}", secret=node_id in secret, doubtful=node_id in doubtful
            )
            for name, value in node["inputs"].items()
        }
        rest = {
            part: redactor.clean(value, part, f"{node_id}.{part}")
            for part, value in node.items()
            if part not in ("inputs", "class_type")
        }
        clean[str(node_id)] = {"class_type": node["class_type"], "inputs": inputs, **rest}
    return clean, tuple(redactor.removed)


def redact_text(text: str) -> str:
    """Replaces everything in a text that has the shape of a secret."""
    for pattern in _KEEP_PREFIX:
        text = pattern.sub(lambda match: match.group(1) + REMOVED, text)
    return _FORTY.sub(_unless_plain, _SECRET_VALUE.sub(REMOVED, text))


def is_link(value: Any, graph: Mapping[str, Any]) -> bool:
    """Whether an input is a link: [id of a node of the graph, output index]."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and value[0] in graph
        and isinstance(value[1], int)
    )


class _Redactor:
    """Walks nested values; ``removed`` collects the places where something was left out."""

    def __init__(self, graph: Mapping[str, Any]):
        self._graph = graph
        self.removed: list[str] = []

    def clean(self, value: Any, field: str, place: str, *, secret: bool = False, doubtful: bool = False) -> Any:
        """A copy of a value of any depth without secrets.

        Args:
            field: name of the field that holds it.
            place: where that is, for ``removed``.
            secret: whether the node's output runs into a field that is named like a secret.
            doubtful: the same for a name that may mean one.
        """
        if is_link(value, self._graph):
            return value
        if isinstance(value, Mapping):
            return {
                str(key): self.clean(entry, str(key), f"{place}.{key}", secret=secret, doubtful=doubtful)
                for key, entry in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [
                self.clean(entry, field, f"{place}.{n}", secret=secret, doubtful=doubtful)
                for n, entry in enumerate(value)
            ]
        if not isinstance(value, str) or not value.strip():
            return value
        hidden = secret or (doubtful and looks_random(value)) or _is_secret(field, value)
        result = REMOVED if hidden else redact_text(value)
        if result != value:
            self.removed.append(place)
        return result


def _is_secret(field: str, value: str) -> bool:
    if _SECRET_FIELD.search(_split_camel(field)):
        return True
    return bool(_DOUBTFUL_FIELD.search(_split_camel(field))) and looks_random(value)


def looks_random(value: str) -> bool:
    """Whether a text is long, without spaces and mixed as keys are and words and names of files are not."""
    text = value.strip()
    if len(text) < 16 or re.search(r"\s", text) or _FILE_NAME.search(text):
        return False
    return _entropy(text) >= 3.0 and (any(c.isdigit() for c in text) or len(text) >= 32)


def _entropy(text: str) -> float:
    """Bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _unless_plain(match: re.Match[str]) -> str:
    """40 characters removed if they are mixed as a secret is; hashes in hex have no capitals."""
    text = match.group()
    mixed = all(re.search(kind, text) for kind in ("[A-Z]", "[a-z]", "[0-9]"))
    return REMOVED if mixed and _entropy(text) >= _FORTY_ENTROPY else text


def _split_camel(field: str) -> str:
    """``apiKey`` and ``HFToken`` read as ``api_Key`` and ``HF_Token``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", field)


def _linked_to(graph: Mapping[str, Any], field: re.Pattern[str]) -> set[str]:
    """Ids of the nodes whose output runs, through any number of others, into a field with such a name."""
    waiting = [
        value[0]
        for node in graph.values()
        for name, value in node["inputs"].items()
        if is_link(value, graph) and field.search(_split_camel(str(name)))
    ]
    found: set[str] = set()
    while waiting:
        node_id = str(waiting.pop())
        if node_id in found or node_id not in graph:
            continue
        found.add(node_id)
        waiting += [value[0] for value in graph[node_id]["inputs"].values() if is_link(value, graph)]
    return found
