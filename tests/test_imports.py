"""Prediction must not load PyTorch, nor any module of the training side."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import jvcr

PACKAGE = Path(jvcr.__file__).parent

# From the bottom up: a module may import those of its own layer and of the ones before it.
LAYERS = (
    ("markup", "markup_file", "frames", "extras", "weights"),
    ("geometry", "volume", "metrics", "images"),
    (
        "results",
        "detect",
        "draw",
        "volume_picture",
        "paper_figures",
        "figure",
        "runtime.base",
        "runtime.mirror",
        "runtime.onnx",
        "runtime.openvino",
        "runtime.backends",
    ),
    ("smooth", "track", "video", "landmarker"),
    ("model", "runtime.pytorch", "runtime.torch_backend"),
    ("data",),
    ("evaluate",),
    ("train",),
    ("claims", "benchmark"),
    ("cli",),
)


def layer_of(module: str) -> int:
    matches = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    assert matches, f"module {module!r} has no layer"
    return max(matches)[1]


def test_imports_point_upwards() -> None:
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        if module in ("", "weights", "runtime"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jvcr."):
                imported = (node.module or "").removeprefix("jvcr.")
                assert layer_of(imported) <= layer_of(module), f"{module} imports {imported}"


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_lazy() -> None:
    loaded = loaded_after("import jvcr")
    assert not loaded & {"numpy", "cv2", "onnxruntime", "torch"}


def test_prediction_does_not_load_torch() -> None:
    loaded = loaded_after(
        "import numpy as np, jvcr\n"
        "jvcr.Landmarker(threads=1).predict(np.zeros((64, 64, 3), np.uint8))\n"
        "import jvcr.cli.app"
    )
    heavy = {"torch", "lightning_fabric", "onnx", "scipy", "plotly", "skimage", "jvcr.model", "jvcr.data", "jvcr.train"}
    assert not loaded & heavy
    assert "jvcr.runtime.onnx" in loaded


def test_public_names() -> None:
    for name in jvcr.__all__:
        assert getattr(jvcr, name) is not None
    assert "Landmarker" in dir(jvcr)
