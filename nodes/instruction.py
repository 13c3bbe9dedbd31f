"""Instructions for the paper's tasks, from a form."""

from __future__ import annotations

from comfy_api.latest import io

from ..ace import instructions
from .host.choices import require_choice
from .host.messages import Messages
from .host.node import Node
from .host.types import schema

_LANGUAGES = {"English": "en", "中文": "zh"}
_PICTURES = "pictures"
# One flat list: of a combo within a combo, the front end forgets links into its fields when a workflow is loaded.
_TASKS = {
    f"{title} / {name}": subtask
    for family, title in instructions.families().items()
    for subtask, name in instructions.subtasks(family).items()
}


def _slot_inputs(subtask: str) -> list[io.Input]:
    """A text field for each slot, and the number of pictures where a task takes several numbers."""
    template = instructions.get_template(subtask)
    widgets: list[io.Input] = [
        io.String.Input(
            slot.name,
            default=slot.default,
            placeholder=slot.example,
            tooltip=f"{slot.description} {'Required' if slot.required else 'May stay empty'}. For example: {slot.example}",
        )
        for slot in instructions.slot_help(subtask)
    ]
    if template.images != template.max_images:
        widgets.append(
            io.Int.Input(
                _PICTURES,
                default=template.images,
                min=template.images,
                max=template.max_images,
                tooltip="How many pictures you connect; the instruction names them all.",
            )
        )
    return widgets


class InstructionNode(Node):
    """Task and words -> an instruction as ACE was trained with."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEInstruction",
            display_name="ACE Edit: Instruction",
            description="Writes an instruction in the manner ACE was trained with: choose a task, fill in the words, and "
            "another seed says it another way. Shows what to connect for each task.",
            search_aliases=["prompt template", "task", "phrasing", "prompt helper", "指令"],
            inputs=[
                io.DynamicCombo.Input(
                    "task",
                    options=[io.DynamicCombo.Option(label, _slot_inputs(task)) for label, task in _TASKS.items()],
                    tooltip="What is to be done; type in the open list to search it. Run the node to read what to connect.",
                ),
                io.String.Input(
                    "own_wording",
                    multiline=True,
                    default="",
                    placeholder="your own wording (then the task above only helps)",
                    tooltip="If there is anything here, it is the instruction. In English, with {image}, {image1}, …",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=False,
                    tooltip="Which of the task's phrasings is taken.",
                ),
                io.Combo.Input(
                    "language",
                    options=list(_LANGUAGES),
                    tooltip="For the help and for reading along. What goes to the model is English: it reads nothing else.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="instruction", tooltip="For a Condition Unit."),
                io.String.Output(display_name="for_reading", tooltip="The same in your language. Not for the model."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, own_wording, seed, language, task=None) -> io.NodeOutput:
        task = require_choice(task, "task")
        messages, language = Messages(cls.hidden.unique_id), _LANGUAGES[language]
        words = dict(task)
        subtask = _TASKS[words.pop("task")]
        pictures = words.pop(_PICTURES, None)
        messages(instructions.describe(subtask, language))
        if own := own_wording.strip():
            if letters := instructions.unreadable_letters(own):
                messages(f"the published models cannot read these letters: {letters[:12]}. Write in English")
            return io.NodeOutput(own, own)
        english, chinese = instructions.render_bilingual(subtask, words, seed, images=pictures, notify=messages)
        return io.NodeOutput(english, chinese if language == "zh" else english)
