"""ACE Edit: image creation and editing from instructions, and workflow distillation, as a ComfyUI node pack."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Called by ComfyUI; imports the nodes only then, so that the package also works without a host."""
    from .nodes.extension import ACEExtension

    return ACEExtension()
