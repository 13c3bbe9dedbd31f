"""What training needs beside requirements.txt, lent to a host that lacks it: PYTHONPATH=… for ComfyServer's env.

The packages are pure Python and come from the environment that runs the tests, so nothing is fetched, and the host's own
torch is left alone.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from pathlib import Path

from host.harness.comfy_server import find_host
from host.harness.install.host_requirements import host_requirements

_WANTED = {
    "accelerate": "accelerate",
    "peft": "peft",
    "diffusers": "diffusers",
    "importlib_metadata": "importlib-metadata",
}
_WANTED |= {"zipp": "zipp"}
_CHECK = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n) is None])"


def lend_training_packages(folder: Path) -> dict[str, str]:
    """The environment for a host that can train; packages it lacks are linked into ``folder``."""
    python = find_host().python
    found = subprocess.run([python, "-c", _CHECK, *_WANTED], capture_output=True, text=True, check=True)
    for module in found.stdout.split():
        distribution = importlib.metadata.distribution(_WANTED[module])
        for source in (distribution.locate_file(module), Path(distribution._path)):
            (folder / Path(source).name).symlink_to(source, target_is_directory=True)
    others = host_requirements(python)
    return {"PYTHONPATH": os.pathsep.join(str(path) for path in (folder, others) if path is not None)}
