"""What stops a capture before or while it runs. What befalls a single input is no exception but an outcome."""

from __future__ import annotations

EXPORT_ADVICE = "Export it from ComfyUI's menu with File → Export (API) and use that file."


class CaptureError(RuntimeError):
    """The capture cannot go on; the message says what to do."""


class WorkflowError(CaptureError):
    """A workflow file that cannot be read or turned into a prompt."""


class Undecided(CaptureError):
    """A choice that only the artist can make.

    question: what is asked; choices: what can be answered, in the order of their numbers; flag: how to answer it on the
    command line.
    """

    def __init__(self, question: str, choices: tuple[str, ...], flag: str):
        listing = "\n".join(f"  {number}. {choice}" for number, choice in enumerate(choices, 1))
        super().__init__(f"{question}\n{listing}\nAnswer with {flag}.")
        self.question = question
        self.choices = choices
        self.flag = flag
