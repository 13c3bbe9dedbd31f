"""What stops a capture before or while it runs. What happens to a single input is no exception but a ``Failure``."""

from __future__ import annotations

EXPORT_ADVICE = "Export this workflow in API format: Workflow → Export (API)."


class CaptureError(RuntimeError):
    """The capture cannot go on; the message says what to do."""


class WorkflowError(CaptureError):
    """A workflow file that cannot be read or turned into a prompt."""


class AmbiguousRoleError(CaptureError):
    """Several nodes of the workflow could have a role, and only the artist can choose.

    Attributes:
        question: what is asked.
        choices: what can be answered, in the order of their numbers.
        flag: how to answer it on the command line.
    """

    def __init__(self, question: str, choices: tuple[str, ...], flag: str):
        listing = "\n".join(f"  {number}. {choice}" for number, choice in enumerate(choices, 1))
        super().__init__(f"{question}\n{listing}\nAnswer with {flag}.")
        self.question = question
        self.choices = choices
        self.flag = flag
