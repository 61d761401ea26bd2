"""The README's Python example runs unchanged, and its links have targets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from skimage.data import astronaut

from jvcr.images import write_image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KNOWN = {
    "CROP_RULE",
    "JVCR_DATA",
    "JVCR_LONG",
    "JVCR_SERVE_TOKEN",
    "JVCR_DEBUG",
    "JVCR_WEIGHTS",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NODE_RANK",
    "SLURM_ARRAY_TASK_ID",
    "YAW_BINS_DEG",
}


def test_python_example_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    write_image(tmp_path / "photo.jpg", astronaut())
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Box(x0=")


def test_links_inside_the_project_exist() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_nothing_is_left_to_fill_in() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "src/jvcr/weights/small.md"]:
        left = re.findall(r"\b[A-Z]{4,}_[A-Z_]{4,}\b", page.read_text(encoding="utf-8"))
        assert set(left) <= KNOWN, page.name
