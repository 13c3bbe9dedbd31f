"""The class of all nodes of the pack: what goes wrong in one is said as the artist needs it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io

from ...ace.packages import missing_module_message

_PACK = __name__.removesuffix(".nodes.host.node")


class Node(io.ComfyNode):
    """A node of the pack.

    The front end writes the class of an exception, with the path of its module, before what the exception says. So a node
    raises built-in exceptions only; see :func:`plain_error`.
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        execute = cls.__dict__.get("execute")
        if isinstance(execute, classmethod) and not hasattr(execute.__func__, "__wrapped__"):  # the host copies classes
            cls.execute = classmethod(_with_plain_errors(execute.__func__))


def _with_plain_errors(execute: Callable) -> Callable:
    @functools.wraps(execute)
    def call(cls, *args: Any, **kwargs: Any) -> io.NodeOutput:
        try:
            return execute(cls, *args, **kwargs)
        except Exception as error:
            plain = plain_error(error)
            if plain is error:
                raise
            raise plain from error

    return call


def plain_error(error: Exception) -> Exception:
    """The built-in exception to raise in place of one: of the same kind and text for those of this pack.

    A package that is missing is named with the line that installs it. All other exceptions stay as they are: those of the
    host mean something to it, such as that the artist has cancelled.
    """
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(_PACK):
        return ImportError(missing_module_message(error.name))
    kind = type(error)
    if not kind.__module__.startswith(f"{_PACK}."):
        return error
    builtin = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    return builtin(str(error))
