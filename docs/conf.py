"""The documentation: `make docs` builds it into docs/_build, with no network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import _generate  # noqa: E402 - found beside this file

from toros import __version__  # noqa: E402 - the same

_generate.write(HERE / "reference" / "_generated")

project = "TOROS"
author = "The TOROS developers"
copyright = "The TOROS developers, BSD-3-Clause"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "reference/_generated", "reference/measured"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"TOROS {__version__}"
html_static_path = ["_static"]
html_css_files = ["toros.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
