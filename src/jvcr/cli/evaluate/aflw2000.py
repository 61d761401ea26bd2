"""``jvcr evaluate aflw2000-3d``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write, text

if TYPE_CHECKING:
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def aflw2000(
    *,
    root: Annotated[Path, typer.Option(help="Folder of AFLW2000-3D, in its original layout.")],
    weights: opt.WeightsUnlessPredictions = None,
    predictions: opt.PredictionsOption = None,
    out: opt.OutOption = None,
    boxes: opt.BoxesOption = opt.Boxes.both,
    aflw_yaw: Annotated[
        Path | None, typer.Option(help="AFLW's own yaw of the images: .npy, .npz or .csv (docs/evaluation.md).")
    ] = None,
    aflw_yaw_names: Annotated[
        Path | None,
        typer.Option(help="Names, one per line, if the .npy of --aflw-yaw is in another order than the folder."),
    ] = None,
    pixel_base: opt.PixelBaseOption = opt.PixelBase.respected,
    limit: opt.LimitOption = 10.0,
    draws: opt.DrawsOption = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and of balanced samples.")] = 0,
    worst: opt.WorstOption = 20,
    save_predictions: opt.SavePredictionsOption = None,
    without: opt.WithoutOption = None,
    json_to: opt.JsonOption = None,
    mirror: opt.MirrorOption = True,
    refine: opt.RefineOption = False,
    detector: opt.DetectorOption = opt.DetectorName.OWN,
    detect_size: opt.DetectSizeOption = opt.DETECT_SIZE,
    execution: Execution,
) -> None:
    """NME per yaw bin, GTE, head pose and more on AFLW2000-3D, with intervals.

    --out takes report.json, report.md and report.html.
    """
    opt.need_scipy()
    from jvcr.evaluate import aflw2000 as benchmark
    from jvcr.evaluate.pages import check_page_extras

    if out is not None:
        check_page_extras()
    prepare_outputs(
        out,
        json_to,
        save_predictions=save_predictions,
        page=True,
        root=root,
        inputs=[*(weights or ()), *(predictions or ()), without, aflw_yaw, aflw_yaw_names],
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
            without=opt.names_to_leave_out(without),
            aflw_yaw=aflw_yaw,
            aflw_yaw_names=aflw_yaw_names,
            pixel_base=pixel_base,
            limit=limit / 100,
            draws=draws,
            seed=seed,
            progress=progress,
            keep=keep,
        )
    pages = {
        "report.md": text(lambda: report.to_markdown(worst)),
        "report.html": text(lambda: report.to_html(worst)),
    }
    show_and_write(report, out, json_to, pages)
