"""``jvcr evaluate aflw2000-3d``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.evaluate.benchmark_options import (
    Boxes,
    BoxesOption,
    DrawsOption,
    JsonOption,
    LimitOption,
    MirrorOption,
    OutOption,
    PixelBase,
    PixelBaseOption,
    PredictionsOption,
    RefineOption,
    SavePredictionsOption,
    WeightsUnlessPredictions,
    WithoutOption,
    WorstOption,
    names_to_leave_out,
    need_scipy,
    saver,
)
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write, text
from jvcr.cli.options import (
    BackendOption,
    DetectorOption,
    DetectSizeOption,
    DeviceOption,
    PrecisionOption,
    ThreadsOption,
)
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.runtime.backends import Backend


def aflw2000(
    root: Annotated[Path, typer.Option(help="Folder of AFLW2000-3D, in its original layout.")],
    weights: WeightsUnlessPredictions = None,
    predictions: PredictionsOption = None,
    out: OutOption = None,
    boxes: BoxesOption = Boxes.both,
    aflw_yaw: Annotated[
        Path | None, typer.Option(help="AFLW's own yaw of the images: .npy, .npz or .csv (docs/evaluation.md).")
    ] = None,
    aflw_yaw_names: Annotated[
        Path | None,
        typer.Option(help="For a .npy of --aflw-yaw in another order than the folder's: names, one a line."),
    ] = None,
    pixel_base: PixelBaseOption = PixelBase.respected,
    limit: LimitOption = 10.0,
    draws: DrawsOption = 2000,
    seed: Annotated[int, typer.Option(help="Of bootstrap and balanced draws.")] = 0,
    worst: WorstOption = 20,
    save_predictions: SavePredictionsOption = None,
    without: WithoutOption = None,
    json_to: JsonOption = None,
    mirror: MirrorOption = True,
    refine: RefineOption = False,
    detector: DetectorOption = DetectorName.OWN,
    detect_size: DetectSizeOption = DETECT_SIZE,
    threads: ThreadsOption = 0,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
) -> None:
    """NME per yaw bin, GTE, head pose and more on AFLW2000-3D, with intervals.

    --out takes report.json, report.md and report.html.
    """
    need_scipy()
    from jvcr.evaluate import aflw2000 as benchmark
    from jvcr.evaluate.pages import check_page_extras
    from jvcr.evaluate.systems import Execution

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
    keep = saver(save_predictions, boxes, weights, predictions)
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
            execution=Execution(backend, device, precision, threads),
            without=names_to_leave_out(without),
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
