"""PyTorch → ONNX: the exporter on a random tiny network, and the shipped pair of files."""

from __future__ import annotations

import functools
import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr.cli.app import app
from jvcr.export import formats
from jvcr.export import onnx as export
from jvcr.export.formats import Format, Precision
from jvcr.frames import Box, Crop
from jvcr.images import extract
from jvcr.markups.markup import MARKUP_68
from jvcr.model.checkpoint import Header, load_weights, save_weights
from jvcr.model.config import PRESETS
from jvcr.model.inference import Inference, PlanarCoordinateNetwork
from jvcr.model.jvcr import JVCR
from jvcr.model.regressor import columns_as_channels
from jvcr.runtime.backends import open_backend
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.runtime.pytorch import TorchRuntime
from jvcr.volume import unfolded
from jvcr.weights import SEPARATE, SHIPPED, weights_path

QUICK = (Format.ONNX, Precision.FP32)
"""The format that is always tested; the others are among the slow tests."""


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


@pytest.fixture(scope="module")
def exported(tiny: tuple[JVCR, Header], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network as an ONNX file with 32-bit weights."""
    path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    export.export_onnx(*tiny, path, half=False)
    return path


ExportTiny = Callable[..., Path]


@pytest.fixture(scope="module")
def export_tiny(tiny: tuple[JVCR, Header], tmp_path_factory: pytest.TempPathFactory) -> ExportTiny:
    """Export the tiny network, checked, into a folder of its own. Every export takes seconds, so each is made once."""

    @functools.cache
    def made(format: Format, precision: Precision, half: bool) -> Path:
        path = tmp_path_factory.mktemp("checked") / f"tiny{format.ending}"
        given = crops(64, 8) if precision is Precision.INT8 else None
        formats.export_checked(*tiny, path, format, precision, half, crops=given)
        return path

    return lambda format=Format.ONNX, precision=Precision.FP32, half=True: made(format, precision, half)


def crops(size_px: int, count: int) -> np.ndarray:
    photo = astronaut()
    boxes = [Box(179 + 7 * i, 87 - 5 * i, 269 + 7 * i, 178) for i in range(count)]
    return np.stack([extract(photo, Crop.from_box(box, size_px)) for box in boxes])


def parity(model: JVCR, header: Header, path: Path, pictures: np.ndarray) -> export.Parity:
    ours = TorchRuntime(model, header.markup)(pictures)
    return export.landmark_parity(ours, OnnxRuntime(path)(pictures), model.config.image_size)


@pytest.mark.parametrize("half", [pytest.param(False, marks=pytest.mark.slow), True])
def test_exported_network_agrees_in_pixels(tiny: tuple[JVCR, Header], export_tiny: ExportTiny, half: bool) -> None:
    model, header = tiny
    path = export_tiny(half=half)
    for count in (1, 3):  # the batch is dynamic
        assert parity(model, header, path, crops(64, count)).max_px < (0.1 if half else 0.001)


@pytest.mark.parametrize(
    ("format", "precision"),
    [
        pytest.param(format, precision, marks=() if (format, precision) == QUICK else pytest.mark.slow)
        for format, precision in itertools.product(Format, Precision)
    ],
)
def test_every_format_and_precision_agrees(
    tiny: tuple[JVCR, Header], export_tiny: ExportTiny, format: Format, precision: Precision
) -> None:
    if format is Format.OPENVINO:
        pytest.importorskip("openvino")
    if (format, precision) == (Format.TORCHSCRIPT, Precision.INT8):
        with pytest.raises(ValueError, match="not written in int8"):
            export_tiny(format, precision)
        return
    path, faces = export_tiny(format, precision), crops(64, 8)
    written = {file.name for file in path.parent.iterdir()}
    assert written == ({"tiny.xml", "tiny.bin"} if format is Format.OPENVINO else {path.name})
    backend = {Format.ONNX: "onnxruntime", Format.OPENVINO: "openvino", Format.TORCHSCRIPT: "torch"}[format]
    found = open_backend(path, backend, threads=1)(faces)
    difference = export.landmark_parity(TorchRuntime(tiny[0], tiny[1].markup)(faces), found, 64)
    assert difference.max_px < {Precision.FP32: 0.1, Precision.FP16: 0.5, Precision.INT8: 3.0}[precision]
    # The precision claimed to be lower is lower: the arithmetic has really changed.
    if precision is Precision.INT8:
        assert difference.mean_px > 0.002


def test_int8_needs_faces(tiny: tuple[JVCR, Header], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give --calibrate"):
        formats.export_checked(*tiny, tmp_path / "tiny.onnx", precision=Precision.INT8)
    assert not list(tmp_path.iterdir())


def test_an_ending_of_another_format_is_refused(tiny: tuple[JVCR, Header], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.xml for openvino"):
        formats.export_checked(*tiny, tmp_path / "tiny.onnx", Format.OPENVINO)


@pytest.mark.slow
def test_the_command_exports_int8(make_table: Callable[..., Path], tmp_path: Path) -> None:
    model = JVCR(PRESETS["tiny"]).eval()
    save_weights(tmp_path / "tiny.safetensors", model, Header(PRESETS["tiny"], MARKUP_68))
    (tmp_path / "table").mkdir()
    table = make_table(tmp_path / "table", (0.0, 20.0, 40.0, -60.0))
    arguments = ["export", str(tmp_path / "tiny.safetensors"), str(tmp_path / "tiny.onnx"), "--precision", "int8"]
    done = CliRunner().invoke(app, arguments)
    assert "--calibrate" in str(done.exception)
    done = CliRunner().invoke(app, [*arguments, "--calibrate", str(table)])
    assert done.exit_code == 0, done.output
    assert "differ from PyTorch by" in done.output
    # P, all that comes after the volume, computes in floats.
    nodes = onnx.load(tmp_path / "tiny.onnx").graph.node
    of_p = {"cells"}
    for node in nodes:
        of_p |= set(node.output) if of_p & set(node.input) else set()
    quantised = [node for node in nodes if node.op_type == "QuantizeLinear"]
    assert quantised and not any(set(node.output) & of_p for node in quantised)
    with pytest.raises(ValueError, match="'float'; expected one of fp32, fp16, int8"):
        CliRunner().invoke(app, [*arguments[:-1], "float"], catch_exceptions=False)


def test_exported_file_describes_itself_and_nothing_else(exported: Path) -> None:
    proto = onnx.load(exported)
    assert [p.key for p in proto.metadata_props] == ["jvcr", "jvcr-crc32"]
    assert json.loads(proto.metadata_props[0].value)["about"] == {"licence": "none"}
    # The exporter's stack traces contain paths of the machine it ran on.
    assert str(Path(export.__file__).parent).encode() not in exported.read_bytes()
    runtime = OnnxRuntime(exported)
    assert runtime.image_size == 64
    assert runtime.markup == MARKUP_68


def test_a_file_out_of_bounds_is_refused(
    tiny: tuple[JVCR, Header], export_tiny: ExportTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faithful, (model, header) = export_tiny(), tiny
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"the old file")
    other = JVCR(model.config)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.coordinate.linear.bias[0] += 0.01  # 0.64 px of a 64-px crop
    # What is written is the network before that.
    monkeypatch.setattr(formats, "export_onnx", lambda model, header, path, half: shutil.copy(faithful, path))
    with pytest.raises(ValueError, match=r"tiny\.onnx: the exported network differs from PyTorch by"):
        formats.export_checked(other.eval(), header, path)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_runtime_refuses_other_crops(exported: Path) -> None:
    runtime = OnnxRuntime(exported)
    with pytest.raises(ValueError, match=r"expected crops \(B, 64, 64, 3\) uint8, got \(2, 32, 32, 3\)"):
        runtime(np.zeros((2, 32, 32, 3), np.uint8))


def test_runtime_refuses_a_foreign_network(exported: Path, tmp_path: Path) -> None:
    proto = onnx.load(exported)
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
    # Both hold the same 16-bit weights, except that ONNX has P's last two layers as one matrix, rounded again.
    difference = parity(model, header, path, crops(header.config.image_size, 5))
    assert difference.max_px < 0.01


@pytest.mark.parametrize("subvoxels", [1, 2])
def test_planes_are_the_same_as_3d_convolutions(subvoxels: int) -> None:
    torch.manual_seed(0)
    model = JVCR(replace(PRESETS["tiny"], subvoxels=subvoxels)).eval()
    volume = torch.rand(3, *model.config.compact_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.coordinate(volume)
        got = PlanarCoordinateNetwork(model.coordinate).eval()(columns_as_channels(volume, subvoxels))
    assert expected.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("detail", [0, 8])
def test_the_volume_in_cells_is_the_same_volume(detail: int) -> None:
    torch.manual_seed(0)
    config = replace(PRESETS["tiny"], subvoxels=2, detail_channels=detail, depths=(2, 8))
    model = JVCR(config).eval()
    crops_here = crops(config.image_size, 3)
    expected = TorchRuntime(model, MARKUP_68)(crops_here)
    with torch.no_grad():
        cells, points_unit = Inference(model).eval()(torch.from_numpy(crops_here))
    assert cells.shape == (3, 8, 2, 2, 16, 16) and expected.volume.shape == (3, 8, 32, 32)
    np.testing.assert_allclose(unfolded(cells.numpy()), expected.volume, atol=1e-5)
    np.testing.assert_allclose(points_unit.numpy(), expected.points_unit, atol=1e-5)


def test_no_3d_convolution_is_exported(exported: Path) -> None:
    graph = onnx.load(exported).graph
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    assert {len(weights[node.input[1]]) for node in graph.node if node.op_type == "Conv"} == {4}
