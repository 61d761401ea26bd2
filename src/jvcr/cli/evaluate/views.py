"""``jvcr evaluate views``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.evaluate.benchmark_options import (
    Boxes,
    BoxesOption,
    DrawsOption,
    JsonOption,
    MirrorOption,
    OutOption,
    PredictionsOption,
    RefineOption,
    SavePredictionsOption,
    WeightsUnlessPredictions,
    need_scipy,
    saver,
)
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write
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


def views(
    root: Annotated[Path, typer.Option(help="Folder of a training table with several views of a face.")],
    weights: WeightsUnlessPredictions = None,
    predictions: PredictionsOption = None,
    out: OutOption = None,
    boxes: BoxesOption = Boxes.both,
    draws: DrawsOption = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    save_predictions: SavePredictionsOption = None,
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
    """CVGTCE and GTE on the validation faces of a training table that have several views.

    --out takes report.json and report.md.
    """
    need_scipy()
    from jvcr.evaluate import views as benchmark
    from jvcr.evaluate.systems import Execution

    prepare_outputs(
        out,
        json_to,
        save_predictions=save_predictions,
        root=root,
        inputs=[*(weights or ()), *(predictions or ())],
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
            draws=draws,
            seed=seed,
            progress=progress,
            keep=keep,
        )
    show_and_write(report, out, json_to)
