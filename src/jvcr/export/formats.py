"""Export for each backend and precision, with a parity check in pixels."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import onnx
import torch

from jvcr.export.onnx import Parity, export_onnx, landmark_parity, save_sealed, smooth_pictures
from jvcr.extras import missing
from jvcr.images import Image
from jvcr.model.checkpoint import Header
from jvcr.model.inference import Inference
from jvcr.model.jvcr import JVCR
from jvcr.runtime.base import Runtime
from jvcr.runtime.checksum import BLANK, KEY, add_comment, seal
from jvcr.runtime.onnx import OnnxRuntime
from jvcr.runtime.openvino import OpenVinoRuntime
from jvcr.runtime.pytorch import TorchRuntime
from jvcr.runtime.torch_backend import SCRIPT_ENTRY, open_torch


class Format(StrEnum):
    """File formats."""

    ONNX = "onnx"
    OPENVINO = "openvino"
    TORCHSCRIPT = "torchscript"

    @property
    def ending(self) -> str:
        """Ending of the file's name, with the dot."""
        return {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"}[self]


class Precision(StrEnum):
    """Precision of the arithmetic."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


BOUNDS_PX = {Precision.FP32: (0.02, 0.25), Precision.FP16: (0.15, 1.0), Precision.INT8: (0.8, 6.0)}
"""Largest allowed differences of landmarks from PyTorch in 32 bits: mean and maximum, in pixels of a 128-pixel crop
(scaled for other sizes). 0.02 is a hundredth of the network's own error; 0.8 is a third."""


def export_checked(
    model: JVCR,
    header: Header,
    path: Path,
    format: Format = Format.ONNX,
    precision: Precision = Precision.FP32,
    half: bool = True,
    crops: Image | None = None,
) -> Parity:
    """Export, compare with PyTorch in 32 bits, and move the file into place only if they agree.

    Args:
        path: must end in ``Format.ending``. OpenVINO also writes the weights, to a ``.bin`` file next to it.
        half: store weights in 16 bits, independent of the arithmetic. TorchScript in fp32 always stores 32 bits.
        crops: (B, S, S, 3) typical crops, needed for int8: one half calibrates the quantisation, the other is used for
            the comparison. Without crops, smooth random pictures are compared.
    Raises:
        ValueError: the landmarks differ by more than ``BOUNDS_PX``; the ending is wrong; int8 was requested without
            crops, or for TorchScript.
        MissingExtra: OpenVINO is not installed.
    """
    if path.suffix != format.ending:
        raise ValueError(f"{path}: expected a file name that ends in {format.ending} for {format}")
    if precision is Precision.INT8 and format is Format.TORCHSCRIPT:
        raise ValueError("TorchScript is not written in int8; expected --format onnx or openvino")
    if precision is Precision.INT8 and (crops is None or len(crops) < 2):
        raise ValueError("int8 needs crops of real faces for calibration: give --calibrate TABLE")
    size = model.config.image_size
    if crops is None:
        ranges, compared = None, smooth_pictures(8, size)
    else:
        ranges, compared = crops[: len(crops) // 2], crops[len(crops) // 2 :]
    with _workplace(path) as folder:
        candidate = folder / path.name
        if format is Format.TORCHSCRIPT:
            _write_torchscript(model, header, candidate, precision)
        elif format is Format.OPENVINO:
            _write_onnx(model, header, folder / "model.onnx", precision, False, ranges)
            _write_openvino(folder / "model.onnx", candidate, half)
            (folder / "model.onnx").unlink()
        else:
            _write_onnx(model, header, candidate, precision, half, ranges)
        theirs = _opened(candidate, format, precision)(compared)
        result = landmark_parity(TorchRuntime(model, header.markup)(compared), theirs, size)
        mean, most = (bound * size / 128 for bound in BOUNDS_PX[precision])
        if result.mean_px > mean or result.max_px > most:
            raise ValueError(
                f"{path}: the exported network differs from PyTorch by {result.mean_px:.3f} px on average and "
                f"{result.max_px:.3f} px at most (allowed in {precision}: {mean:g} and {most:g}) and was not kept; try "
                f"{'--no-half' if precision is Precision.FP32 else '--precision fp32'}"
            )
        for file in sorted(folder.iterdir()):
            file.replace(path.parent / file.name)
    return result


@contextlib.contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A temporary folder beside the file, on the same file system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _write_onnx(model: JVCR, header: Header, path: Path, precision: Precision, half: bool, crops: Image | None) -> None:
    export_onnx(model, header, path, half and precision is Precision.FP32)
    if precision is Precision.FP16:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        narrow = convert_float_to_float16(onnx.load(path), keep_io_types=True)
        save_sealed(narrow, path)
    elif precision is Precision.INT8:
        assert crops is not None
        _quantise(path, crops)


def _quantise(path: Path, crops: Image) -> None:
    """Quantise an ONNX file's 2D convolutions to int8, calibrated on the crops. P and G's outputs stay in 32 bits."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    whole = onnx.load(path)
    metadata = {entry.key: entry.value for entry in whole.metadata_props}
    simple, quantised = path.with_suffix(".simple"), path.with_suffix(".int8")
    quant_pre_process(str(path), str(simple), skip_symbolic_shape=True)
    quantize_static(
        str(simple),
        str(quantised),
        _Batches(crops),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.Percentile,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=_sensitive(onnx.load(simple)),
    )
    result = onnx.load(quantised)
    del result.metadata_props[:]
    for key, value in metadata.items():
        entry = result.metadata_props.add()
        entry.key, entry.value = key, value
    save_sealed(result, path)
    simple.unlink()
    quantised.unlink()


class _Batches:
    """Batches of crops, as ONNX Runtime's calibration reads them."""

    def __init__(self, crops: Image, size: int = 8) -> None:
        self._batches = iter([{"crops": crops[start : start + size]} for start in range(0, len(crops), size)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def _sensitive(proto: onnx.ModelProto) -> list[str]:
    """Names of convolutions that stay in 32 bits: the first, those that output a volume, and P's.

    They are few, and errors in them move the landmarks.
    """
    kinds: dict[str, set[str]] = {}
    of_p = {"cells"}
    for node in proto.graph.node:
        for name in node.input:
            kinds.setdefault(name, set()).add(node.op_type)
        if of_p & set(node.input):
            of_p |= set(node.output)
    inner = {"Relu", "Add", "BatchNormalization", "MaxPool"}
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    return [
        node.name
        for index, node in enumerate(convolutions)
        if index == 0 or node.output[0] in of_p or not kinds.get(node.output[0], set()) & inner
    ]


def _write_openvino(source: Path, path: Path, half: bool) -> None:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise missing("openvino", error) from error
    # OpenVINO keeps the ONNX file's metadata, and OpenVinoRuntime reads it from there.
    model = openvino.Core().read_model(source)
    model.set_rt_info(BLANK, ["framework", KEY])
    openvino.save_model(model, path, compress_to_fp16=half)
    seal(path, [path.with_suffix(".bin")])


def _write_torchscript(model: JVCR, header: Header, path: Path, precision: Precision) -> None:
    size = model.config.image_size
    example = torch.from_numpy(smooth_pictures(2, size))
    with torch.no_grad(), torch.autocast("cpu", torch.float16, precision is Precision.FP16, cache_enabled=False):
        script = torch.jit.trace(Inference(model).eval(), example, check_trace=False)
    torch.jit.save(script, str(path), _extra_files={SCRIPT_ENTRY: header.to_json()})
    add_comment(path)
    seal(path)


def _opened(path: Path, format: Format, precision: Precision) -> Runtime:
    if format is Format.ONNX:
        return OnnxRuntime(path)
    if format is Format.OPENVINO:
        return OpenVinoRuntime(path, precision="fp16" if precision is Precision.FP16 else "fp32")
    return open_torch(path)
