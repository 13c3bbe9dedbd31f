"""TOML file and `key=value` overrides -> configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...ace.text_files import TextEncodingError, read_text
from .errors import ConfigError

if TYPE_CHECKING:
    from .config import TrainConfig


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> TrainConfig:
    """Reads a configuration.

    Args:
        path: a TOML file.
        overrides: `section.key=value`, the value as TOML writes it; what is no TOML value is taken as text.

    Raises:
        ConfigError: no such file, no TOML, or a key or value that is not allowed; all faults are listed.
    """
    table = read_toml(path)
    for override in overrides:
        _override(table, override)
    return make_config(table, str(path))


def parse_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """`section.key=value` as a nested dictionary.

    Raises:
        ConfigError: one is not of this form.
    """
    table: dict[str, Any] = {}
    for override in overrides:
        _override(table, override)
    return table


def read_toml(path: str | Path) -> dict[str, Any]:
    """Reads a TOML file as it is.

    Raises:
        ConfigError: no such file, or no TOML.
    """
    try:
        return _toml(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except ConfigError:
        raise
    except TextEncodingError as error:
        raise ConfigError(str(error)) from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def make_config(table: dict[str, Any], source: str = "the configuration") -> TrainConfig:
    """Checks a nested dictionary.

    Raises:
        ConfigError: lists every key or value that is not allowed.
    """
    # Here, because a menu of files needs none of it.
    from pydantic import ValidationError

    from .config import TrainConfig

    try:
        return TrainConfig.model_validate(table)
    except ValidationError as error:
        faults = "\n".join(f"  {_location(fault)}: {_message(fault)}" for fault in error.errors())
        raise ConfigError(f"{source} has faults:\n{faults}") from None


def _toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        try:
            import tomli as tomllib
        except ModuleNotFoundError:
            raise ConfigError(
                "before Python 3.11, reading TOML files needs the package tomli. Install it and try again:\n"
                f'  "{sys.executable}" -m pip install tomli'
            ) from None
    return tomllib.loads(text)


def _override(table: dict[str, Any], text: str) -> None:
    """Sets one dotted key in place."""
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"{text!r} is no override; write section.key=value, such as optimizer.learning_rate=1e-4")
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{text!r}: {part} is a value, not a table")
    table[parts[-1]] = _value(value.strip())


def _value(text: str) -> Any:
    """A TOML value; what is none is text."""
    try:
        return _toml(f"value = {text}")["value"]
    except ConfigError:
        raise
    except ValueError:
        return text


def _location(fault: Any) -> str:
    return ".".join(str(part) for part in fault["loc"]) or "(whole)"


def _message(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return "there is no such setting" + _known_names(fault["loc"])
    if fault["type"] == "missing":
        return "must be given"
    return f"{fault['msg'].removeprefix('Value error, ')} (got {fault['input']!r:.80})"


def _known_names(location: tuple) -> str:
    """For messages: the settings that there are in that section."""
    from .config import TrainConfig

    section: Any = TrainConfig
    for part in location[:-1]:
        section = _section(section.model_fields[part].annotation)
    return f"; known here are {', '.join(section.model_fields)}"


def _section(annotation: Any) -> Any:
    """The section behind `Section` or `Section | None`."""
    choices = getattr(annotation, "__args__", (annotation,))
    return next(choice for choice in choices if hasattr(choice, "model_fields"))
