"""``jvcr evaluate expression``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write, text

if TYPE_CHECKING:
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def expression(
    *,
    root: Annotated[Path, typer.Option(help="Folder of a training table with hand marks, or of AFLW2000-3D.")],
    weights: opt.WeightsUnlessPredictions = None,
    predictions: opt.PredictionsOption = None,
    out: opt.OutOption = None,
    boxes: opt.BoxesOption = opt.Boxes.both,
    hand: Annotated[
        Path | None, typer.Option(help="Hand marks of AFLW2000-3D's images; hand2d.npz in its folder by default.")
    ] = None,
    worst: opt.WorstOption = 20,
    save_predictions: opt.SavePredictionsOption = None,
    without: opt.WithoutOption = None,
    json_to: opt.JsonOption = None,
    mirror: opt.MirrorOption = True,
    refine: opt.RefineOption = True,
    detector: opt.DetectorOption = opt.DetectorName.OWN,
    detect_size: opt.DetectSizeOption = opt.DETECT_SIZE,
    execution: Execution,
) -> None:
    """Eyes, mouths and brows against hand marks, of a training table's validation rows or AFLW2000-3D.

    --out takes report.json, report.md and report.html.
    """
    opt.need_scipy()
    from jvcr.evaluate import expression as benchmark
    from jvcr.evaluate.pages import check_page_extras

    if out is not None:
        check_page_extras()
    prepare_outputs(
        out,
        json_to,
        save_predictions=save_predictions,
        page=True,
        root=root,
        inputs=[*(weights or ()), *(predictions or ()), without, hand],
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
            hand=hand,
            without=opt.names_to_leave_out(without),
            progress=progress,
            keep=keep,
        )
    show_and_write(report, out, json_to, {"report.html": text(lambda: report.to_html(worst))})
