"""Prediction must not load PyTorch or any training module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import jvcr

PACKAGE = Path(jvcr.__file__).parent

# From the bottom up: a module may import those of its own layer and of the ones below.
LAYERS = (
    ("frames", "extras", "files", "report", "suggest", "markups", "weights"),
    ("geometry", "volume", "metrics", "images", "expression", "io.outputs"),
    ("io.exports", "camera"),
    ("results", "runtime.base", "runtime.mirror", "runtime.confidence", "detect.base", "distinct"),
    ("locate", "io"),
    ("runtime", "detect", "draw"),
    ("find", "video"),
    ("landmarker",),
    ("compat",),
    ("model", "runtime.pytorch", "runtime.torch_backend"),
    ("export", "data"),
    ("evaluate",),
    ("train",),
    ("paper", "bench", "batch", "serve"),
    ("cli",),
)


def layer_of(module: str) -> int:
    """The layer of the longest name in ``LAYERS`` that the module is in."""
    matches = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    assert matches, f"module {module!r} has no layer"
    return max(matches)[1]


def own_imports() -> dict[str, set[str]]:
    """Module → the modules of the package that it imports, whether at its top, in functions, or for types alone."""
    modules = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    names = {name.removesuffix(".__init__"): path for name, path in modules.items() if name != "__init__"}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jvcr."):
                source = (node.module or "").removeprefix("jvcr.")
                # `from jvcr.data import table` imports jvcr.data.table.
                inner = {f"{source}.{alias.name}" for alias in node.names} & names.keys()
                found[name] |= inner or {source}
    return found


def test_imports_point_downwards() -> None:
    for module, imported in own_imports().items():
        for other in imported:
            assert layer_of(other) <= layer_of(module), f"{module} imports {other}"


def test_no_two_modules_import_each_other() -> None:
    """There are no circular imports, not even inside packages."""
    waiting = own_imports()
    while free := [module for module, imported in waiting.items() if not imported & waiting.keys()]:
        for module in free:
            del waiting[module]
    assert not waiting, f"these modules, or some of them, import each other in a circle: {sorted(waiting)}"


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
    heavy = {
        "torch",
        "lightning_fabric",
        "onnx",
        "scipy",
        "plotly",
        "skimage",
        "pydantic",
        "pyarrow",
        "pythonosc",
        "supervision",
        "fsspec",
        "ray",
        "fastapi",
        "uvicorn",
        "prometheus_client",
        "jvcr.model",
        "jvcr.data",
        "jvcr.train",
    }
    assert not loaded & heavy
    assert "jvcr.runtime.onnx" in loaded


def test_public_names() -> None:
    for name in jvcr.__all__:
        assert getattr(jvcr, name) is not None
    assert "Landmarker" in dir(jvcr)
