"""The command line without an installation: ``python PACK_FOLDER train …``, whatever the folder is called."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_NAME = "comfyui_ace"


def _as_package() -> None:
    """Makes this folder importable as the package that pip would install."""
    root = Path(__file__).resolve().parent
    # Python has put the folder itself on the path, where its rooms would pass for packages of the same names.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != root]
    spec = importlib.util.spec_from_file_location(_NAME, root / "__init__.py", submodule_search_locations=[str(root)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    if not __package__:
        _as_package()
    sys.exit(importlib.import_module(f"{__package__ or _NAME}.cli").main())
