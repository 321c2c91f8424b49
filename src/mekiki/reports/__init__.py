"""Tables, figures and pages: plain values in, text, SVG or one self-contained HTML file out."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

if not os.environ.get("MPLCONFIGDIR"):
    # matplotlib writes its list of fonts into the home folder as soon as it is imported; only `reports` imports it.
    os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="mekiki-matplotlib-")
    atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)
