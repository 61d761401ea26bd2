"""``jvcr evaluate paper``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write

if TYPE_CHECKING:
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def paper(
    *,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder to measure on: AFLW2000-3D (here or one folder below), a training table, or both."),
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="A report.json to take figures from; may be repeated.")
    ] = None,
    weights: opt.WeightsUnlessPredictions = None,
    predictions: opt.PredictionsOption = None,
    out: opt.OutOption = None,
    boxes: opt.BoxesOption = opt.Boxes.both,
    pixel_base: opt.PixelBaseOption = opt.PixelBase.respected,
    draws: opt.DrawsOption = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and of balanced samples.")] = 0,
    without: opt.WithoutOption = None,
    json_to: opt.JsonOption = None,
    mirror: opt.MirrorOption = True,
    refine: opt.RefineOption = False,
    detector: opt.DetectorOption = opt.DetectorName.OWN,
    detect_size: opt.DetectSizeOption = opt.DETECT_SIZE,
    execution: Execution,
) -> None:
    """The paper's tables, with our rows: from --results, or measured on what --root holds.

    Without either, the published figures, and what is not measured. --out takes report.json and report.md.
    """
    from jvcr.paper import tables

    if root is None and (weights or predictions or without):
        raise ValueError("--weights, --predictions and --without are for what --root holds; give --root")
    prepare_outputs(out, json_to, root=root, inputs=[*(results or ()), *(weights or ()), *(predictions or ()), without])
    with ProgressBar() as progress:
        settings: dict[str, Any] = {}
        if root is not None:
            opt.need_scipy()
            settings = {
                "weights": weights,
                "boxes": boxes,
                "mirror": mirror,
                "refine": refine,
                "detector": detector,
                "detect_size": detect_size,
                "execution": execution,
                "draws": draws,
                "seed": seed,
                "progress": progress,
            }
        report = tables.evaluate(
            root,
            results or (),
            predictions=predictions or (),
            without=opt.names_to_leave_out(without),
            pixel_base=pixel_base,
            **settings,
        )
    show_and_write(report, out, json_to)
