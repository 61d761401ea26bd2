"""The backends agree, can be chosen, and report what they lack."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr import Landmarker
from jvcr.cli.app import app
from jvcr.images import Image
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.backends import Backend, open_backend
from jvcr.runtime.mirror import MirrorAveraged

BOX = [179.0, 87.0, 269.0, 178.0]


@pytest.fixture(scope="module")
def crops() -> Image:
    """The astronaut's face in three crops of 128 pixels."""
    photo = astronaut()
    return np.stack([photo[y : y + 128, x : x + 128] for x, y in ((160, 68), (150, 75), (170, 60))])


def needed(backend: str) -> None:
    pytest.importorskip({"openvino": "openvino", "torch": "torch", "onnxruntime": "onnxruntime"}[backend])


@pytest.mark.parametrize(
    ("backend", "precision", "mean_px", "volume"),
    [
        ("openvino", "fp32", 0.001, 0.001),
        ("openvino", "bf16", 0.25, 0.1),
        ("openvino", "fp16", 0.25, 0.1),
        ("torch", "fp32", 0.001, 0.001),
        ("torch", "bf16", 0.25, 0.1),
    ],
)
def test_backends_agree(crops: Image, backend: str, precision: str, mean_px: float, volume: float) -> None:
    needed(backend)
    expected = open_backend("small", threads=1)(crops)
    runtime = open_backend("small", backend, precision=precision, threads=1)
    found = runtime(crops)
    distance = 128 * np.linalg.norm(found.points_unit - expected.points_unit, axis=-1)
    assert distance.mean() < mean_px
    assert np.abs(found.volume - expected.volume).mean() < volume
    assert found.points_unit.dtype == found.volume.dtype == np.float32
    # One crop alone, and from several threads at once.
    np.testing.assert_allclose(runtime(crops[:1]).points_unit, found.points_unit[:1], atol=0.004)
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(runtime, [crops] * 8):
            np.testing.assert_allclose(again.points_unit, found.points_unit, atol=0.004)


@pytest.mark.parametrize("backend", list(Backend))
def test_a_landmarker_takes_any_backend(backend: str) -> None:
    needed(backend)
    face = Landmarker(backend=backend, threads=1).predict(astronaut(), [BOX])[0]
    expected = Landmarker(threads=1).predict(astronaut(), [BOX])[0]
    np.testing.assert_allclose(face.landmarks, expected.landmarks, atol=0.05)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
def test_pytorch_compiles(tmp_path: Path) -> None:
    needed("torch")
    from jvcr.model.checkpoint import Header, save_weights
    from jvcr.model.config import PRESETS
    from jvcr.model.jvcr import JVCR

    save_weights(tmp_path / "tiny.safetensors", JVCR(PRESETS["tiny"]), Header(PRESETS["tiny"], MARKUP_68))
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    plain = open_backend(tmp_path / "tiny.safetensors", "torch")(crops)
    compiled = open_backend(tmp_path / "tiny.safetensors", "torch", compile=True)(crops)
    np.testing.assert_allclose(compiled.points_unit, plain.points_unit, atol=1e-4)
    np.testing.assert_allclose(compiled.volume, plain.volume, atol=1e-3)


def test_torchscript_is_not_compiled_again(tmp_path: Path) -> None:
    needed("torch")
    (tmp_path / "net.pt").touch()
    with pytest.raises(ValueError, match=r"net\.pt: TorchScript cannot be compiled again"):
        open_backend(tmp_path / "net.pt", "torch", compile=True)


def test_a_runtime_of_ones_own_is_taken() -> None:
    own = MirrorAveraged(open_backend("small", threads=1))
    face = Landmarker(backend=own, mirror=False, refine=False).predict(astronaut(), [BOX])[0]
    expected = Landmarker(refine=False, threads=1).predict(astronaut(), [BOX])[0]
    np.testing.assert_allclose(face.landmarks, expected.landmarks, atol=1e-3)


@pytest.mark.parametrize(
    ("backend", "settings", "message"),
    [
        ("tensorflow", {}, "expected one of onnxruntime, openvino, torch"),
        ("onnxruntime", {"precision": "int4"}, "use fp32"),
        ("onnxruntime", {"compile": True}, "onnxruntime always compiles the network itself"),
        ("onnxruntime", {"device": "tpu"}, "cpu, cuda, coreml, directml"),
        ("onnxruntime", {"device": "directml"}, "onnxruntime-directml"),
        ("openvino", {"precision": "int4"}, "fp32, fp16, bf16"),
        ("openvino", {"device": "npu9"}, "expected one of .*cpu"),
        ("torch", {"precision": "int4"}, "fp32, bf16, fp16"),
        ("torch", {"device": "cuda:99"}, "no device 'cuda:99'"),
    ],
)
def test_what_is_not_there_is_said(backend: str, settings: dict[str, Any], message: str) -> None:
    if backend in list(Backend):
        needed(backend)
    with pytest.raises(ValueError, match=message):
        open_backend("small", backend, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "torch"])
def test_files_that_are_not_theirs_are_named(tmp_path: Path, backend: str) -> None:
    needed(backend)
    file = tmp_path / ("w.safetensors" if backend == "torch" else "w.onnx")
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"w\.(onnx|safetensors)"):
        open_backend(file, backend)
    with pytest.raises(FileNotFoundError, match="none"):
        open_backend(tmp_path / f"none{file.suffix}", backend)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_detectors_file_is_refused(backend: str) -> None:
    needed(backend)
    with pytest.raises(ValueError, match=r"detector\.onnx: no 'jvcr' entry"):
        open_backend("detector", backend)


def test_crops_of_another_size_are_refused(crops: Image) -> None:
    for backend in ("onnxruntime", "openvino"):
        needed(backend)
        with pytest.raises(ValueError, match="128, 128, 3"):
            open_backend("small", backend, threads=1)(crops[:, :64])


def test_the_command_line_takes_it(tmp_path: Path) -> None:
    needed("openvino")
    from jvcr.images import write_image

    write_image(tmp_path / "a.png", astronaut())
    arguments = ["predict", str(tmp_path / "a.png"), "--json", str(tmp_path / "a.jsonl"), "--backend", "openvino"]
    done = CliRunner().invoke(app, [*arguments, "--precision", "bf16", "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert len(json.loads((tmp_path / "a.jsonl").read_text())["faces"]) == 1
