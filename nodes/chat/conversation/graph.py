"""A turn as a graph of the pack's nodes, as an artist would wire it.

Load Image -> Image, Inpaint or Outpaint -> Condition Unit -> (Long-Context Condition) -> Sampler -> (Paste Back) -> Chat
Answer, which hands the picture on as it is stored. So a branch, whose rounds follow one another in one graph, gives the
same pictures as its turns gave one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ....ace.lcu.indicators import indicator
from ....training.workflows.ace_graph import ACEGraph
from ....training.workflows.graph import NodeRef
from ....training.workflows.ui_file import ui_workflow
from .images import input_name, menu_name
from .layout import Column, Place, arrange
from .tree import MAX_ROUNDS, Chat, Settings, Turn
from .wording import plain

_BLANK = "blank: paint something new"
_TITLE = 40  # characters of a frame's title
# Added to the ids of nodes in the queue: the page's own graph has nodes with small ones, and the front end would show there
# what is told about these.
_QUEUE_IDS = 1_000_000_000


class ChatGraph(ACEGraph):
    """A graph that remembers what each of its nodes is for.

    Args:
        file_name: what Load Image calls a picture of the conversation.
    """

    def __init__(self, file_name: Callable[[str], str] = input_name) -> None:
        super().__init__()
        self._file_name = file_name
        self.places: dict[str, Place] = {}
        self.titles: dict[int, str] = {}
        self._place = Place(None)
        self._models: dict[str, tuple[Any, Any, Any]] = {}
        self._loaded: dict[str, NodeRef] = {}

    def at(self, number: int | None, column: Column = Column.LOAD) -> None:
        """The nodes that follow belong there."""
        self._place = Place(number, column)

    def node(self, class_type: str, /, **inputs: Any) -> NodeRef:
        """Adds a node, see :class:`Graph`."""
        ref = super().node(class_type, **inputs)
        self.places[ref.id] = self._place
        return ref

    def models(self, settings: Settings) -> tuple[Any, Any, Any]:
        """Links to MODEL, CLIP and VAE; the same ones for the same settings."""
        key = settings.model_dump_json(include={"bundle", "model", "text_encoder", "vae", "loras"})
        if key not in self._models:
            self.at(None)
            if settings.bundle is not None:
                loaded = self.load_bundle(settings.bundle)
                model, clip, vae = loaded[0], loaded[1], loaded[2]
            else:
                model = self.node("ACELoadModel", model_name=settings.model, weight_dtype="default")[0]
                clip = self.node("ACELoadTextEncoder", text_encoder_name=settings.text_encoder)[0]
                vae = self.node("VAELoader", vae_name=settings.vae)[0]
            for lora in settings.loras:
                model = self.load_lora(model, lora.name, lora.strength)[0]
            self._models[key] = (model, clip, vae)
        return self._models[key]

    def picture(self, number: int, file: str) -> NodeRef:
        """Load Image of a file; one node, however often it is needed."""
        if file not in self._loaded:
            self.at(number, Column.LOAD)
            self._loaded[file] = self.load_image(self._file_name(file))
        return self._loaded[file]

    def in_queue(self) -> dict[str, dict[str, Any]]:
        """The prompt as it goes into ComfyUI's queue."""

        def renamed(node_id: str) -> str:
            return str(_QUEUE_IDS + int(node_id))

        return {
            renamed(node_id): {
                **node,
                "inputs": {
                    name: [renamed(value[0]), value[1]] if isinstance(value, list) else value
                    for name, value in node["inputs"].items()
                },
            }
            for node_id, node in self.prompt().items()
        }

    def workflow(self, note: str) -> dict[str, Any]:
        """The graph as a file that the front end opens, a frame around each round."""
        return ui_workflow(self, note, self._placing)

    def _placing(self, sizes: Mapping[str, tuple[int, int]]):
        made = arrange(self.places, sizes, sizes["note"])
        frames = made.frames.items() if len(made.frames) > 1 else ()
        return made.corners, [(self.titles.get(number, ""), box) for number, box in frames]


class _Round:
    """One round in a graph.

    Attributes:
        turn: it.
        unit: its Condition Unit.
        original: link to the picture that is edited, or None.
        mask: link to what may change of it, or None.
        placement: link to where it lies on a larger canvas, or None.
    """

    def __init__(self, g: ChatGraph, number: int, turn: Turn, answers: Mapping[str, Any]):
        """Adds pictures and unit.

        Args:
            g: the graph.
            number: of the round in it.
            turn: the turn.
            answers: links to pictures that earlier rounds of the graph give, by file.
        """
        self.turn, self.original, self.mask, self.placement = turn, None, None, None
        g.titles[number] = f"{turn.number} · {plain(turn.parts)}"[:_TITLE]
        images = [self._image(g, number, index, answers) for index in range(len(turn.pictures))]
        g.at(number, Column.UNIT)
        self.unit = g.unit(turn.instruction, *images)

    def _image(self, g: ChatGraph, number: int, index: int, answers: Mapping[str, Any]) -> NodeRef:
        picture, word = self.turn.pictures[index], indicator(index)
        link = answers.get(picture.file)
        mask = None
        if picture.mask is not None:
            marked = g.picture(number, picture.mask)
            link, mask = link or marked[0], marked[1]
        if link is None:
            link = g.picture(number, picture.file)[0]
        g.at(number, Column.IMAGE)
        if index == 0:
            self.original, self.mask = link, mask
            if self.turn.extend is not None:
                extend = self.turn.extend.model_dump()
                sides = {f"extend.{side}": extend[side] for side in ("left", "top", "right", "bottom")}
                made = g.node(
                    "ACEOutpaint",
                    image=link,
                    extend="by pixels",
                    **sides,
                    overlap=extend["overlap"],
                    round_up=False,
                    indicator=word,
                )
                self.placement = made[3]
                return made
        if mask is not None and picture.fill == "blank":
            return g.node("ACEInpaint", image=link, mask=mask, way=_BLANK, indicator=word)
        return g.ace_image(link, word, **({} if mask is None else {"mask": mask}))


def turn_graph(chat: Chat, turn: Turn, *, keep: bool = False) -> ChatGraph:
    """One turn with the earlier rounds that it sends, all pictures from files.

    Args:
        chat: the conversation.
        turn: of it, or one that is not yet in it.
        keep: whether the answer is stored in the conversation.
    """
    g, rounds = _rounds(chat, turn, input_name if keep else menu_name)
    context = _context(g, rounds)
    _add_result(g, len(rounds) - 1, rounds[-1], context, chat.id if keep else "")
    return g


def sheet_graph(chat: Chat, turn: Turn) -> ChatGraph:
    """What a turn would send, drawn as Preview draws it; nothing is sampled."""
    g, rounds = _rounds(chat, turn, input_name)
    context = _context(g, rounds)
    g.node("ACEPreview", context=context, model=g.models(turn.settings)[0], **_resolution(turn.settings))
    return g


def _rounds(chat: Chat, turn: Turn, file_name: Callable[[str], str]) -> tuple[ChatGraph, list[_Round]]:
    g = ChatGraph(file_name)
    g.models(turn.settings)  # the first node in any turn, so that its id, and with it the loaded model, stays
    turns = [*chat.rounds(turn), turn]
    return g, [_Round(g, number, one, {}) for number, one in enumerate(turns)]


def _context(g: ChatGraph, rounds: list[_Round]) -> Any:
    """Link to what the last round sends."""
    if len(rounds) == 1:
        return rounds[0].unit[0]
    history = None
    for number, one in enumerate(rounds):
        g.at(number, Column.CONTEXT)
        history = g.long_context(one.unit, history, max_rounds=len(rounds) - 1)[0]
    return history


def branch_graph(chat: Chat, turn: Turn) -> ChatGraph:
    """All rounds up to a turn, one after the other in one graph: the answer of each is the picture of the next."""
    path = [one for one in chat.path(turn.id) if one.answer or one.id == turn.id]
    g = ChatGraph(menu_name)
    answers: dict[str, Any] = {}
    chain: Any = None  # context of all rounds so far that can be sent again
    for number, one in enumerate(path):
        made = _Round(g, number, one, answers)
        sent = [earlier.id for earlier in chat.rounds(one)]
        context = made.unit[0]
        g.at(number, Column.CONTEXT)
        if sent:
            context = g.long_context(made.unit, chain, max_rounds=len(sent))[0]
        if one.pictures:
            chain = _chain(g, chat, path[number + 1 :], made, chain, context, [*sent, one.id])
        answer = _add_result(g, number, made, context, "")
        if one.answer:
            answers[one.answer.file] = answer[0]
    return g


def _chain(
    g: ChatGraph, chat: Chat, later: list[Turn], made: _Round, chain: Any, context: Any, holds: list[str]
) -> Any:
    """The context that later rounds go on from: this round's own, unless one of them needs more than it sent."""
    needed = {earlier.id for one in later for earlier in chat.rounds(one)}
    needed &= {one.id for one in chat.path(made.turn.id)}
    if not needed:
        return chain
    if needed <= set(holds) and len(holds) > 1:
        return context
    return g.long_context(made.unit, chain if needed - {made.turn.id} else None, max_rounds=MAX_ROUNDS)[0]


def _resolution(settings: Settings) -> dict[str, Any]:
    sides = {"resolution.width": settings.width, "resolution.height": settings.height}
    return {"resolution": settings.size, **(sides if settings.size == "exact size" else {})}


def _add_result(g: ChatGraph, number: int, made: _Round, context: Any, chat_id: str) -> NodeRef:
    """Sampler to answer: what lies outside a mask comes from the picture itself, and what the VAE took is given back."""
    turn, settings = made.turn, made.turn.settings
    painted_anew = turn.extend is not None or (made.mask is not None and turn.pictures[0].fill == "blank")
    detail = settings.keep_detail if turn.pictures and not painted_anew else 0.0
    pasted = made.mask is not None or made.placement is not None
    # Paste Back scales by itself; the detail to keep is that of the picture's own size.
    as_source = turn.pictures and (detail or not pasted)
    model, clip, vae = g.models(settings)
    g.at(number, Column.SAMPLER)
    result = g.node(
        "ACESampler",
        model=model,
        clip=clip,
        vae=vae,
        context=context,
        negative=settings.negative,
        seed=turn.seed,
        steps=settings.steps,
        cfg=settings.cfg,
        guidance_rescale=settings.guidance_rescale,
        **_resolution(settings),
        batch_size=1,
        result_size="as the source" if as_source else "as sampled",
        keep_detail=float(detail),
    )
    image = result[0]
    g.at(number, Column.PASTE)
    if made.placement is not None:
        image = g.paste_back(made.original, image, placement=made.placement, fit=result[2])[0]
    elif made.mask is not None:
        image = g.paste_back(made.original, image, mask=made.mask, fit=result[2])[0]
    g.at(number, Column.ANSWER)
    return g.node("ACEChatAnswer", image=image, chat=chat_id, turn=turn.id if chat_id else "")
