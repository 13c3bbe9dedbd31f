"""What Train and Distil learn by, and how long: fields for what else needs a configuration file."""

from __future__ import annotations

import json

from comfy_api.latest import io

from ..host.types import ADVANCED

AS_CONFIGURED = "as configured"
AUTOMATIC = "automatic"
_ADAPTERS = ("lora", "dora", "lokr")
_METHODS = ("pairs", "guidance", "consistency")
_AUGMENT = ("off", "auto", "hflip", "vflip", "crop")


def learning_inputs() -> list[io.Input]:
    """The fields; workflows saved before there were such fields do without them, and all is as it was."""
    return [
        _choice(
            "length",
            (AUTOMATIC,),
            "automatic: it learns until the pictures on held-out pairs come no nearer to the teacher's, at most three "
            "times as long as steps says, and the best of what it has been is taken. With fewer than three different "
            "pictures held out it takes the usual steps and says so.",
        ),
        _choice(
            "augment",
            _AUGMENT,
            "More pictures out of few pairs. hflip shows all pictures of a pair mirrored as well, vflip upside down, crop in "
            "parts. auto: those of the flips that, as the pairs and their words say, do not change the edit.",
        ),
        _choice(
            "adapter",
            _ADAPTERS,
            "What is trained beside the frozen model. lora: the usual one. dora: learns lengths apart from directions. lokr: "
            "a much smaller file. All work in every LoRA loader.",
        ),
        _choice(
            "method",
            _METHODS,
            "What the student learns from. pairs: the results of the pairs. guidance: the model's own guided answers, "
            "so that it needs no guidance and half the time. consistency: the same in 4 to 8 steps; wants thousands of "
            "steps, a learning rate of 0.00002 and a high rank.",
        ),
    ]


def _choice(name: str, options: tuple[str, ...], tooltip: str) -> io.Input:
    return io.Combo.Input(
        name,
        options=[AS_CONFIGURED, *options],
        default=AS_CONFIGURED,
        optional=True,
        tooltip=tooltip,
        extra_dict=ADVANCED,
    )


def check_learning(trained: str, config: str, *, adapter: str = AS_CONFIGURED, **_others: str) -> None:
    """Whether the fields suit what a configuration trains.

    Args:
        trained: "lora", "full" or "editnet", as the configuration says.
        config: its name.
        adapter: the field's value.

    Raises:
        ValueError: an adapter was chosen where none is trained.
    """
    if trained != "lora" and adapter != AS_CONFIGURED:
        raise ValueError(
            f'adapter is {adapter}, but {config} trains no LoRA (method = "{trained}"): set adapter to "{AS_CONFIGURED}", or '
            "choose another configuration"
        )


def learning_options(
    steps: int,
    *,
    length: str = AS_CONFIGURED,
    augment: str = AS_CONFIGURED,
    adapter: str = AS_CONFIGURED,
    method: str = AS_CONFIGURED,
) -> list[str]:
    """The fields as options of ``comfyui-ace distil``.

    Args:
        steps: of the field of that name; 0 means what the configuration says.
        length, augment, adapter, method: the fields' values.
    """
    from ...training.distil_config import LONGEST

    options = []
    if length == AUTOMATIC:
        options += ["--steps=auto", *([f"--max-steps={LONGEST * steps}"] if steps else [])]
    elif steps:
        options.append(f"--steps={steps}")
    if augment != AS_CONFIGURED:
        value = augment if augment in ("off", "auto") else json.dumps([augment])
        options.append(f"--set=data.augment={value}")
    options += [f"--set=lora.adapter={adapter}"] if adapter != AS_CONFIGURED else []
    options += [f"--set=distil.method={method}"] if method != AS_CONFIGURED else []
    return options
