"""``jvcr export``: convert trained weights for prediction."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from jvcr.extras import missing
from jvcr.io.outputs import check_outputs


def export(
    weights: Annotated[Path, typer.Argument(help="model.safetensors, written by `jvcr train`.")],
    out: Annotated[Path, typer.Argument(help="The file to write: .onnx, .xml (OpenVINO) or .pt (TorchScript).")],
    format: Annotated[str, typer.Option(help="onnx, openvino or torchscript. Default: by the file's ending.")] = "",
    precision: Annotated[
        str, typer.Option(help="Precision of the arithmetic: fp32, fp16, or int8 (not TorchScript).")
    ] = "fp32",
    calibrate: Annotated[
        Path | None, typer.Option(help="Training table whose faces calibrate int8; also used for the comparison.")
    ] = None,
    half: Annotated[bool, typer.Option(help="Store weights in 16 bits.")] = True,
) -> None:
    """Export for a backend. The result is compared with PyTorch in pixels, and not kept if it differs too much."""
    check_outputs({"OUT": out}, [weights, calibrate])
    try:
        from jvcr.data.calibration import calibration_crops
        from jvcr.export.detector import BOUND, export_detector
        from jvcr.export.formats import BOUNDS_PX, Format, Precision, export_checked
        from jvcr.model.checkpoint import load_weights
        from jvcr.model.detector_file import is_detector, load_detector
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    chosen = _one_of(Format, format or {f.ending: f.value for f in Format}.get(out.suffix, "onnx"), "format")
    if chosen is Format.OPENVINO:
        check_outputs({"OUT": out, "its weights": out.with_suffix(".bin")}, [weights, calibrate])
    exactly = _one_of(Precision, precision, "precision")
    if is_detector(weights):
        if (chosen, exactly) != (Format.ONNX, Precision.FP32):
            raise ValueError(f"{weights} is a detector; expected --format onnx and --precision fp32")
        difference = export_detector(*load_detector(weights), out, half)
        typer.echo(
            f"{out}: {out.stat().st_size / 1e6:.1f} MB; boxes differ from PyTorch's by {100 * difference:.2f} % of "
            f"their size at most (allowed: {100 * BOUND:g} %)"
        )
        return
    model, header = load_weights(weights)
    crops = None if calibrate is None else calibration_crops(calibrate, header.config.image_size, header.config.crop)
    result = export_checked(model, header, out, chosen, exactly, half, crops)
    size = model.config.image_size
    mean, most = (bound * size / 128 for bound in BOUNDS_PX[exactly])
    stored = sum(file.stat().st_size for file in (out, out.with_suffix(".bin")) if file.is_file())
    typer.echo(
        f"{out}: {stored / 1e6:.1f} MB; landmarks differ from PyTorch by {result.mean_px:.4f} px on average, "
        f"{result.max_px:.4f} px at most (pixels of the {size}-px crop; allowed: {mean:g} and {most:g})"
    )


_Choice = TypeVar("_Choice", bound=StrEnum)


def _one_of(choices: type[_Choice], value: str, name: str) -> _Choice:
    if value not in list(choices):
        raise ValueError(f"--{name} is {value!r}; expected one of {', '.join(choices)}")
    return choices(value)
