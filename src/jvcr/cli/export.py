"""``jvcr export``: trained weights → an ONNX file for prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.extras import missing


def export(
    weights: Annotated[Path, typer.Argument(help="model.safetensors, written by `jvcr train`.")],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    half: Annotated[bool, typer.Option(help="Store weights in 16 bits.")] = True,
) -> None:
    """Export for ONNX Runtime and check the file against PyTorch, in pixels; a file out of bounds is not kept."""
    try:
        from jvcr.model.checkpoint import load_weights
        from jvcr.model.detector_file import BOUND, export_detector, is_detector, load_detector
        from jvcr.model.export import export_checked
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    if is_detector(weights):
        difference = export_detector(*load_detector(weights), out, half)
        typer.echo(
            f"{out}: {out.stat().st_size / 1e6:.1f} MB; boxes differ from PyTorch's by {100 * difference:.2f} % of "
            f"their size at most (allowed: {100 * BOUND:g} %)"
        )
        return
    model, header = load_weights(weights)
    result = export_checked(model, header, out, half)
    typer.echo(
        f"{out}: {out.stat().st_size / 1e6:.1f} MB; landmarks differ from PyTorch by {result.mean_px:.4f} px on the "
        f"mean, {result.max_px:.4f} px at most (pixels of the {model.config.image_size}-px crop)"
    )
