"""Looks through source files for what is not the same on Linux, macOS and Windows, or fails on one of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

# Modules and names that Windows' Python lacks. A name may be used by a file that asks for it first (hasattr, getattr).
_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "termios", "tty", "msvcrt", "winreg"}
_OS = {"fork", "forkpty", "geteuid", "getgid", "getlogin", "getpgid", "getuid", "killpg", "mkfifo", "nice", "setsid"}
_OS |= {"sched_getaffinity", "statvfs", "sync", "uname", "wait", "waitpid", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC"}
_SIGNALS = {
    "SIGALRM",
    "SIGBREAK",
    "SIGCHLD",
    "SIGHUP",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "SIGCONT",
}
_TEXT_MODE = re.compile(r"[rwax]\+?t?")
_PROCESSES = {"run", "Popen", "check_output", "check_call"}


def findings(path: str, tree: ast.Module) -> Iterator[str]:
    """What in a file depends on the system, a line each.

    Args:
        path: of the file, for the lines.
        tree: the file, parsed.
    """
    asked = {
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and _name(node) in ("hasattr", "getattr")
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
    }
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in set(names) & _MODULES:
                yield f"{path}:{node.lineno} imports {name} for the whole file, which some systems lack"
    for node in ast.walk(tree):
        found = None
        if isinstance(node, ast.Attribute):
            found = _attribute(node, asked)
        elif isinstance(node, ast.Call):
            found = _text(node) or _process(node) or _temporary(node)
            if path != "ace/files.py":
                found = found or _rename(node)
        if found:
            yield f"{path}:{node.lineno} {found}"


def _name(call: ast.Call) -> str:
    """Of the function or method that is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _of(node: ast.Attribute) -> str:
    return node.value.id if isinstance(node.value, ast.Name) else ""


def _keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def _attribute(node: ast.Attribute, asked: set[str]) -> str | None:
    lacks = (_of(node) == "os" and node.attr in _OS) or (_of(node) == "signal" and node.attr in _SIGNALS)
    return f"uses {_of(node)}.{node.attr}, which some systems lack" if lacks and node.attr not in asked else None


def unnamed_encodings(path: str, tree: ast.Module) -> Iterator[str]:
    """Where a file reads or writes text in the system's encoding, a line each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and "encoding" not in _keywords(node):
            if (mode := _text_mode(node)) is not None:
                yield f"{path}:{node.lineno} opens text without encoding{f' ({mode})' if mode else ''}"
            elif _name(node) in ("read_text", "write_text") and len(node.args) < (
                1 if _name(node) == "read_text" else 2
            ):
                yield f"{path}:{node.lineno} calls {_name(node)} without encoding"


def _text_mode(call: ast.Call) -> str | None:
    """The mode in which ``open`` is called, for files of text; None for other calls."""
    if _name(call) != "open":
        return None
    method = isinstance(call.func, ast.Attribute)
    places = call.args if method else call.args[1:]
    given = _keywords(call).get("mode", places[0] if places else None)
    if given is None:
        return None if method and call.args else ""
    mode = given.value if isinstance(given, ast.Constant) else None
    return mode if isinstance(mode, str) and _TEXT_MODE.fullmatch(mode) else None


def _text(call: ast.Call) -> str | None:
    """Text that is written with the system's line breaks: a script with them does not run, a hash is another."""
    if "newline" in _keywords(call):
        return None
    if _name(call) == "write_text":
        return "writes text without newline"
    mode = _text_mode(call)
    return "opens a text file for writing without newline" if mode and set(mode) & set("wax+") else None


def _process(call: ast.Call) -> str | None:
    """Output of a process that is read in the system's encoding, and what only some systems can start."""
    if _name(call) not in _PROCESSES:
        return None
    given = _keywords(call)
    if ("text" in given or "universal_newlines" in given) and "encoding" not in given:
        return "reads a process's output without encoding"
    posix = {"preexec_fn", "start_new_session", "process_group", "shell"} & set(given)
    return f"starts a process with {posix.pop()}, which is not the same everywhere" if posix else None


def _temporary(call: ast.Call) -> str | None:
    """Windows cannot open such a file a second time."""
    return "uses NamedTemporaryFile" if _name(call) == "NamedTemporaryFile" else None


def _rename(call: ast.Call) -> str | None:
    """Renames without patience for programs that hold a file open. ``str.replace`` takes two arguments."""
    function = call.func
    if not isinstance(function, ast.Attribute):
        return None
    direct = _of(function) in ("os", "shutil") and function.attr in ("rename", "renames", "replace", "move")
    of_path = function.attr in ("rename", "replace") and len(call.args) == 1 and not call.keywords
    return "renames by itself; ace.files has rename and replace_file" if direct or of_path else None
