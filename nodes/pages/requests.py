"""What a page may send: checked, so that handlers get what they expect or the page hears what was wrong."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

_MOST_BYTES = 8 << 20


class BadRequestError(ValueError):
    """The page, or a stranger, sent something else than is expected."""


class Strict(BaseModel):
    """A body of JSON: nothing is converted, and nothing unknown is passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


async def read_body(request: Any, kind: type[BaseModel]) -> Any:
    """What was posted.

    JSON is demanded by name: a form of a strange web page cannot send that without asking the server first.

    Raises:
        BadRequestError: it is not what is expected here.
    """
    if request.content_type != "application/json":
        raise BadRequestError(f"Changes are sent as application/json, not as {request.content_type!r:.80}.")
    if (request.content_length or 0) > _MOST_BYTES:
        raise BadRequestError("Too much at once: change fewer things at a time.")
    try:
        data = json.loads(await request.text())
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"What was sent is no JSON: {error}.") from error
    return validated(kind, data)


def validated(kind: type[BaseModel], data: Any) -> Any:
    """The data as a model.

    Raises:
        BadRequestError: a value is none that there is.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise BadRequestError(f"This cannot be done: {problems}.") from error
