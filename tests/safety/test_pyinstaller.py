"""A frozen program has its weights: the hook for PyInstaller."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from skimage.data import astronaut

import jvcr
from jvcr.images import write_image
from jvcr.weights import SHIPPED

PACKAGE = Path(jvcr.__file__).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"

PROGRAM = """
import sys
from jvcr import Landmarker, read_image
from jvcr.markups.file import markup_from
print(len(Landmarker(threads=1).predict(read_image(sys.argv[1]))), markup_from("71").n_points)
"""


def test_the_entry_point_leads_to_the_hook() -> None:
    from jvcr.__pyinstaller import get_hook_dirs

    points = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]
    assert points["pyinstaller40"]["hook-dirs"] == f"{get_hook_dirs.__module__}:{get_hook_dirs.__name__}"
    (folder,) = get_hook_dirs()
    assert (Path(folder) / "hook-jvcr.py").is_file()


def test_the_hook_takes_weights_and_markups_along() -> None:
    pytest.importorskip("PyInstaller")
    found = runpy.run_path(str(PACKAGE / "__pyinstaller" / "hook-jvcr.py"))
    files = {Path(source).relative_to(PACKAGE).as_posix(): target for source, target in found["datas"]}
    for name in (*SHIPPED, "detector"):
        assert Path(files[f"weights/{name}.onnx"]) == Path("jvcr/weights")
    assert "markups/jvcr-71.toml" in files
    assert not [name for name in files if name.endswith(".safetensors")]
    assert "jvcr.landmarker" in found["hiddenimports"]
    assert all(importlib.util.find_spec(name) for name in found["hiddenimports"])


@pytest.mark.skipif("JVCR_LONG" not in os.environ, reason="takes minutes; set JVCR_LONG=1")
def test_a_frozen_program_runs(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller")
    (tmp_path / "program.py").write_text(PROGRAM)
    write_image(tmp_path / "photo.png", astronaut())
    leave = [
        word for name in ("torch", "scipy", "openvino", "plotly", "skimage") for word in ("--exclude-module", name)
    ]
    # Also where the package is not installed, and its entry point unknown.
    hooks = ["--additional-hooks-dir", str(PACKAGE / "__pyinstaller"), "--paths", str(PACKAGE.parent)]
    command = [sys.executable, "-m", "PyInstaller", "--onedir", "--noconfirm", *hooks, *leave, "program.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    program = tmp_path / "dist" / "program" / "program"
    done = subprocess.run([program, "photo.png"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "71"]
