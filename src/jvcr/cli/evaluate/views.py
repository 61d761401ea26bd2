"""``jvcr evaluate views``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write

if TYPE_CHECKING:
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def views(
    *,
    root: Annotated[Path, typer.Option(help="Folder of a training table with several views of a face.")],
    weights: opt.WeightsUnlessPredictions = None,
    predictions: opt.PredictionsOption = None,
    out: opt.OutOption = None,
    boxes: opt.BoxesOption = opt.Boxes.both,
    draws: opt.DrawsOption = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    save_predictions: opt.SavePredictionsOption = None,
    json_to: opt.JsonOption = None,
    mirror: opt.MirrorOption = True,
    refine: opt.RefineOption = False,
    detector: opt.DetectorOption = opt.DetectorName.OWN,
    detect_size: opt.DetectSizeOption = opt.DETECT_SIZE,
    execution: Execution,
) -> None:
    """CVGTCE and GTE on the validation faces of a training table that have several views.

    --out takes report.json and report.md.
    """
    opt.need_scipy()
    from jvcr.evaluate import views as benchmark

    prepare_outputs(
        out,
        json_to,
        save_predictions=save_predictions,
        root=root,
        inputs=[*(weights or ()), *(predictions or ())],
    )
    keep = opt.saver(save_predictions, boxes, weights, predictions)
    with ProgressBar() as progress:
        report = benchmark.evaluate(
            root,
            weights,
            predictions=predictions or (),
            boxes=boxes,
            mirror=mirror,
            refine=refine,
            detector=detector,
            detect_size=detect_size,
            execution=execution,
            draws=draws,
            seed=seed,
            progress=progress,
            keep=keep,
        )
    show_and_write(report, out, json_to)
