"""``jvcr evaluate detect``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvcr.cli.evaluate.benchmark_options import JsonOption, OutOption, WeightsOption, need_scipy
from jvcr.cli.evaluate.report_output import ProgressBar, Writer, prepare_outputs, show_and_write
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
from jvcr.images import write_image
from jvcr.runtime.backends import Backend

if TYPE_CHECKING:
    from jvcr.evaluate.detect import DetectReport


def detect(
    root: Annotated[Path, typer.Option(help="Folder with detect_labels.npz, or of AFLW2000-3D.")],
    weights: WeightsOption = None,
    out: OutOption = None,
    worst: Annotated[int, typer.Option(min=0, help="Photos to draw in the report.")] = 20,
    json_to: JsonOption = None,
    detector: DetectorOption = DetectorName.OWN,
    detect_size: DetectSizeOption = DETECT_SIZE,
    threads: ThreadsOption = 0,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
) -> None:
    """Precision and recall of face detection, in labelled photographs or AFLW2000-3D.

    The detector alone, and with each landmark network. --out takes report.json, report.md, and plots and the worst
    photos as PNG.
    """
    need_scipy()
    from jvcr.evaluate import detect as benchmark
    from jvcr.evaluate.systems import Execution

    prepare_outputs(
        out,
        json_to,
        root=root,
        inputs=weights or (),
    )
    with ProgressBar() as progress:
        report = benchmark.evaluate(
            root,
            weights,
            detector=detector,
            detect_size=detect_size,
            execution=Execution(backend, device, precision, threads),
            progress=progress,
        )
    show_and_write(report, out, json_to, {} if out is None else _pictures(report, worst))


def _pictures(report: DetectReport, worst: int) -> dict[str, Writer]:
    """By file name: plots, and beside each the worst photos."""
    sheets = report.worst_sheets(worst)
    writers: dict[str, Writer] = {}
    for name, figure in report.figures().items():
        stem = name.replace(" ", "_")
        writers[f"{stem}.png"] = partial(figure.savefig, dpi=110)
        if name in sheets:
            writers[f"{stem}_worst.png"] = partial(write_image, image=sheets[name])
    return writers
