"""The modules of this folder import each other as they do when ``run.py`` is started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
