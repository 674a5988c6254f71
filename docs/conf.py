"""
How the documentation is built: ``make docs``. A warning is an error.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE))
sys.path.insert(0, str(_HERE.parent / "platform"))

import ropewalk  # noqa: E402

project = "Ropewalk"
author = "The Ropewalk developers"
copyright = author
version = release = ropewalk.__version__

extensions = ["autointerface", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
highlight_language = "python"

# A name of ropewalk's that leads nowhere is a mistake. Those of Twisted and of
# Python are not looked up, so that building needs no network.
nitpicky = True
# Nor are variables that stand for a type.
nitpick_ignore_regex = [("py:.*", r"(?!ropewalk\.).*|ropewalk\.(.*\.)?[A-Z]")]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"Ropewalk {release}"
html_show_sphinx = False
html_copy_source = False


def _tell_apart(
    app: "Sphinx", what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """
    Two errors are called Refused: one is said to those who ask a site, the other by
    those who ask a daemon. Which of them is raised, the module says.
    """
    home = "client" if name.startswith("ropewalk.client") else "web.problems"
    whole = f":raise ~ropewalk.{home}.Refused:"
    lines[:] = [line.replace(":raise Refused:", whole) for line in lines]


def setup(app: "Sphinx") -> None:
    app.connect("autodoc-process-docstring", _tell_apart)
