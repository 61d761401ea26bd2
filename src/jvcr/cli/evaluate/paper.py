"""``jvcr evaluate paper``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jvcr.cli.evaluate.benchmark_options import (
    Boxes,
    BoxesOption,
    DrawsOption,
    JsonOption,
    MirrorOption,
    OutOption,
    PixelBase,
    PixelBaseOption,
    PredictionsOption,
    RefineOption,
    WeightsUnlessPredictions,
    WithoutOption,
    names_to_leave_out,
    need_scipy,
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


def paper(
    root: Annotated[
        Path | None,
        typer.Option(help="Folder with AFLW2000-3D (here or one folder below), a training table, or both: measure."),
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="A report.json to take figures from; may be repeated.")
    ] = None,
    weights: WeightsUnlessPredictions = None,
    predictions: PredictionsOption = None,
    out: OutOption = None,
    boxes: BoxesOption = Boxes.both,
    pixel_base: PixelBaseOption = PixelBase.respected,
    draws: DrawsOption = 2000,
    seed: Annotated[int, typer.Option(help="Of bootstrap and balanced draws.")] = 0,
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
    """The paper's tables, with our rows: from --results, or measured on what --root holds.

    Without either, the published figures, and what is not measured. --out takes report.json and report.md.
    """
    from jvcr.paper import tables

    if root is None and (weights or predictions or without):
        raise ValueError("--weights, --predictions and --without are for what --root holds; give --root")
    prepare_outputs(
        out,
        json_to,
        root=root,
        inputs=[*(results or ()), *(weights or ()), *(predictions or ()), without],
    )
    with ProgressBar() as progress:
        settings: dict[str, Any] = {}
        if root is not None:
            need_scipy()
            from jvcr.evaluate.systems import Execution

            settings = {
                "weights": weights,
                "boxes": boxes,
                "mirror": mirror,
                "refine": refine,
                "detector": detector,
                "detect_size": detect_size,
                "execution": Execution(backend, device, precision, threads),
                "draws": draws,
                "seed": seed,
                "progress": progress,
            }
        report = tables.evaluate(
            root,
            results or (),
            predictions=predictions or (),
            without=names_to_leave_out(without),
            pixel_base=pixel_base,
            **settings,
        )
    show_and_write(report, out, json_to)
