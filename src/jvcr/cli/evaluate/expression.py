"""``jvcr evaluate expression``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.evaluate.benchmark_options import (
    Boxes,
    BoxesOption,
    JsonOption,
    MirrorOption,
    OutOption,
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


def expression(
    root: Annotated[Path, typer.Option(help="Folder of a training table with hand marks, or of AFLW2000-3D.")],
    weights: WeightsUnlessPredictions = None,
    predictions: PredictionsOption = None,
    out: OutOption = None,
    boxes: BoxesOption = Boxes.both,
    hand: Annotated[
        Path | None, typer.Option(help="Hand marks of AFLW2000-3D's images; hand2d.npz in its folder by default.")
    ] = None,
    worst: WorstOption = 20,
    save_predictions: SavePredictionsOption = None,
    without: WithoutOption = None,
    json_to: JsonOption = None,
    mirror: MirrorOption = True,
    refine: RefineOption = True,
    detector: DetectorOption = DetectorName.OWN,
    detect_size: DetectSizeOption = DETECT_SIZE,
    threads: ThreadsOption = 0,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
) -> None:
    """Eyes, mouths and brows against hand marks, of a training table's validation rows or AFLW2000-3D.

    --out takes report.json, report.md and report.html.
    """
    need_scipy()
    from jvcr.evaluate import expression as benchmark
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
        inputs=[*(weights or ()), *(predictions or ()), without, hand],
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
            hand=hand,
            without=names_to_leave_out(without),
            progress=progress,
            keep=keep,
        )
    show_and_write(report, out, json_to, {"report.html": text(lambda: report.to_html(worst))})
