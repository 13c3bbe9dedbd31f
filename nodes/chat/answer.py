"""The node that a turn of ACE Chat ends with: the server itself stores the answer, whoever is looking."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui

from ..host.messages import send_to_pages
from ..host.node import Node
from ..host.types import schema

EVENT = "ace.chat"


class ChatAnswerNode(Node):
    """IMAGE -> the same IMAGE with 8 bits a channel, kept in a conversation."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEChatAnswer",
            display_name="ACE Edit: Chat Answer",
            description="Keeps a picture as the answer of a turn in ACE Chat, and hands it on as a file holds it. In a "
            "workflow that was opened from a conversation it names none and stores nothing: then it only hands on and shows "
            "the picture.",
            search_aliases=["chat", "conversation", "8 bit", "quantize"],
            inputs=[
                io.Image.Input("image", tooltip="The result."),
                io.String.Input(
                    "chat",
                    default="",
                    tooltip="Id of the conversation; ACE Chat fills it in. Empty: nothing is stored.",
                ),
                io.String.Input("turn", default="", tooltip="Id of the turn; ACE Chat fills it in."),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The picture with 8 bits a channel, as it is read from its file in the next round.",
                )
            ],
            is_output_node=True,
            hidden=[io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(cls, image, chat="", turn="") -> io.NodeOutput:
        # Contiguous, as Load Image hands it out: other strides take other kernels, which round otherwise.
        pixels = (255.0 * image).clamp(0, 255).to(torch.uint8).cpu().contiguous()
        if chat:
            _keep(chat, turn, pixels[0].numpy(), (cls.hidden.extra_pnginfo or {}).get("workflow"))
        as_read = pixels.to(torch.float32) / 255.0
        return io.NodeOutput(as_read, ui=None if chat else ui.PreviewImage(as_read, cls=cls))


def _keep(chat_id: str, turn_id: str, pixels, workflow) -> None:
    """Stores the answer. A conversation or turn that was deleted meanwhile gets none, which is no error of the graph."""
    from .conversation.errors import ChatError, UnknownChatError
    from .conversation.images import add_pixels
    from .conversation.store import find_chat
    from .conversation.tree import Answer

    try:
        chats = find_chat(Path(folder_paths.get_user_directory()), chat_id)
        if chats.read(chat_id).turn(turn_id).answer is not None:
            return  # a turn never changes its answer
        texts = {} if workflow is None else {"workflow": json.dumps(workflow)}
        stored = add_pixels(chats.folder(chat_id), pixels, texts)
        answer = Answer(**stored, finished=time.time())
        chats.change(chat_id, lambda chat: chat.with_changed(turn_id, answer=answer))
    except UnknownChatError:
        logging.info("ACE Edit: the conversation of this answer was deleted meanwhile, so it is not kept")
        return
    except ChatError as error:
        raise RuntimeError(str(error)) from error
    send_to_pages(EVENT, {"chat": chat_id})
