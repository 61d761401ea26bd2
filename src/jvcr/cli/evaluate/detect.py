"""``jvcr evaluate detect``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, Writer, prepare_outputs, show_and_write
from jvcr.files import written_whole
from jvcr.images import write_image

if TYPE_CHECKING:
    from jvcr.evaluate.detect import DetectReport
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def detect(
    *,
    root: Annotated[Path, typer.Option(help="Folder with detect_labels.npz, or of AFLW2000-3D.")],
    weights: opt.WeightsOption = None,
    out: opt.OutOption = None,
    worst: Annotated[int, typer.Option(min=0, help="Photos to draw in the report.")] = 20,
    json_to: opt.JsonOption = None,
    without: opt.WithoutOption = None,
    half: Annotated[
        Literal["seen", "fresh"] | None,
        typer.Option(help="Only one half of the photos: seen (may guide choices) or fresh (reports only)."),
    ] = None,
    detector: opt.DetectorOption = opt.DetectorName.OWN,
    detect_size: opt.DetectSizeOption = opt.DETECT_SIZE,
    execution: Execution,
) -> None:
    """Precision and recall of face detection, in labelled photographs or AFLW2000-3D.

    The detector alone, and with each landmark network. --out takes report.json, report.md, and plots and the worst
    photos as PNG.
    """
    opt.need_scipy()
    from jvcr.data.face_photos import Half
    from jvcr.evaluate import detect as benchmark

    prepare_outputs(out, json_to, root=root, inputs=[*(weights or ()), without])
    with ProgressBar() as progress:
        report = benchmark.evaluate(
            root,
            weights,
            detector=detector,
            detect_size=detect_size,
            without=opt.names_to_leave_out(without),
            half=None if half is None else Half(half),
            execution=execution,
            progress=progress,
        )
    show_and_write(report, out, json_to, {} if out is None else _pictures(report, worst))


def _write_figure(figure: Any, path: Path) -> None:
    with written_whole(path) as file:
        figure.savefig(file, dpi=110, format="png")


def _pictures(report: DetectReport, worst: int) -> dict[str, Writer]:
    """By file name: plots, and beside each the worst photos."""
    sheets = report.worst_sheets(worst)
    writers: dict[str, Writer] = {}
    for name, figure in report.figures().items():
        stem = name.replace(" ", "_")
        writers[f"{stem}.png"] = partial(_write_figure, figure)
        if name in sheets:
            writers[f"{stem}_worst.png"] = partial(write_image, image=sheets[name])
    return writers
