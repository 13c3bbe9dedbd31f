"""A package that is missing, or too old, is named with the line that helps."""

from __future__ import annotations

import sys

from comfyui_ace.ace.packages import missing_module_message, missing_packages_message


def test_the_line_installs_into_this_python():
    assert missing_packages_message(["one", "two"], "training", "try again") == (
        "training needs the packages one, two, which are not installed. Run this line, then try again:\n"
        f'  "{sys.executable}" -m pip install one two'
    )


def test_a_module_that_is_missing_is_told_from_a_package():
    whole = missing_module_message("no_such_package")
    assert "no_such_package, which is not installed" in whole and "start ComfyUI anew" in whole
    assert missing_module_message("no_such_package.part") == whole
    part = missing_module_message("numpy.no_such_part")
    assert "numpy.no_such_part, which the installed version of numpy does not have" in part
    assert part.endswith("-m pip install --upgrade numpy")
