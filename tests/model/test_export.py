"""PyTorch → ONNX: the exporter on a random tiny network, and the shipped pair of files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from skimage.data import astronaut

from jvcr.frames import Box, Crop
from jvcr.images import extract
from jvcr.markup import MARKUP_68
from jvcr.model import export
from jvcr.model.checkpoint import Header, load_weights
from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.weights import SEPARATE, SHIPPED, weights_path


@pytest.fixture(scope="module")
def tiny() -> tuple[JVCR, Header]:
    torch.manual_seed(3)
    model = JVCR(PRESETS["tiny"])
    # Statistics of a trained network, so that batch norms do something.
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                buffer.normal_(0, 0.3)
    return model.eval(), Header(PRESETS["tiny"], MARKUP_68, {"licence": "none"})


def crops(size_px: int, count: int) -> np.ndarray:
    photo = astronaut()
    boxes = [Box(179 + 7 * i, 87 - 5 * i, 269 + 7 * i, 178) for i in range(count)]
    return np.stack([extract(photo, Crop.from_box(box, size_px)) for box in boxes])


@pytest.mark.parametrize("half", [False, True])
def test_exported_network_agrees_in_pixels(tiny: tuple[JVCR, Header], tmp_path: Path, half: bool) -> None:
    model, header = tiny
    path = tmp_path / "tiny.onnx"
    export.export_checked(model, header, path, half)
    for count in (1, 3):  # the batch is dynamic
        difference = export.parity(model, header, path, crops(64, count))
        assert difference.max_px < (0.1 if half else 0.001)


def test_exported_file_describes_itself_and_nothing_else(tiny: tuple[JVCR, Header], tmp_path: Path) -> None:
    model, header = tiny
    path = tmp_path / "tiny.onnx"
    export.export_onnx(model, header, path)
    proto = onnx.load(path)
    assert {p.key for p in proto.metadata_props} == {"jvcr"}
    assert json.loads(proto.metadata_props[0].value)["about"] == {"licence": "none"}
    # The exporter's stack traces hold paths of the machine it ran on.
    assert str(Path(export.__file__).parent).encode() not in path.read_bytes()
    runtime = OnnxRuntime(path)
    assert runtime.image_size == 64
    assert runtime.markup == MARKUP_68


def test_a_file_out_of_bounds_is_refused(
    tiny: tuple[JVCR, Header], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, header = tiny
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"the old file")
    faithful = export.export_onnx

    def unfaithful(model: JVCR, header: Header, path: Path, half: bool) -> None:
        other = JVCR(model.config)
        other.load_state_dict(model.state_dict())
        with torch.no_grad():
            other.coordinate.linear.bias[0] += 0.01  # 0.64 px of a 64-px crop
        faithful(other.eval(), header, path, half)

    monkeypatch.setattr(export, "export_onnx", unfaithful)
    with pytest.raises(ValueError, match=r"tiny\.onnx: the exported network differs from PyTorch by"):
        export.export_checked(model, header, path)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_runtime_refuses_other_crops(tiny: tuple[JVCR, Header], tmp_path: Path) -> None:
    export.export_onnx(*tiny, tmp_path / "tiny.onnx")
    runtime = OnnxRuntime(tmp_path / "tiny.onnx")
    with pytest.raises(ValueError, match=r"expected \(B, 64, 64, 3\) uint8, got \(2, 32, 32, 3\)"):
        runtime(np.zeros((2, 32, 32, 3), np.uint8))


def test_runtime_refuses_a_foreign_network(tiny: tuple[JVCR, Header], tmp_path: Path) -> None:
    export.export_onnx(*tiny, tmp_path / "tiny.onnx")
    proto = onnx.load(tmp_path / "tiny.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match=r"foreign\.onnx: no 'jvcr' entry"):
        OnnxRuntime(tmp_path / "foreign.onnx")


@pytest.mark.parametrize("name", (*SHIPPED, *SEPARATE))
def test_shipped_files_agree_and_are_small(name: str) -> None:
    path = weights_path(name)
    model, header = load_weights(weights_path(name, ".safetensors"))
    assert path.stat().st_size < (12e6 if name in SHIPPED else 20e6)
    assert header.config == PRESETS[name]
    assert sum(p.numel() for p in model.parameters()) < (2.5e6 if name in SHIPPED else 10e6)
    assert "research" in header.about["licence"]
    assert Header.from_json(onnx.load(path).metadata_props[0].value) == header
    # Both hold the same 16-bit weights, so only the order of additions differs.
    difference = export.parity(model, header, path, crops(header.config.image_size, 5))
    assert difference.max_px < 0.002
