"""
How the documentation is built: ``make docs``. A warning is an error.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "platform"))

import ropewalk

project = "Ropewalk"
author = "The Ropewalk developers"
copyright = author
version = release = ropewalk.__version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
highlight_language = "python"

# A name of ropewalk's that leads nowhere is a mistake. Those of Twisted and of
# Python are not looked up, so that building needs no network.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!ropewalk\.).*")]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

# Until the pages of this issue have all landed.
suppress_warnings = ["toc.not_included"]

html_theme = "furo"
html_title = f"Ropewalk {release}"
html_show_sphinx = False
html_copy_source = False
