"""API-format prompts, written as in ``training/workflows``."""

from __future__ import annotations

from comfyui_ace.training.workflows.graph import Graph, NodeRef

__all__ = ["Graph", "NodeRef"]
