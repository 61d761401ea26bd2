"""``jvcr evaluate confidence``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write

if TYPE_CHECKING:
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def confidence(
    *,
    root: Annotated[Path, typer.Option(help="Folder of a training table with visibility, or of AFLW2000-3D.")],
    weights: opt.WeightsOption = None,
    out: opt.OutOption = None,
    hand: Annotated[
        Path | None,
        typer.Option(help="Visibility of AFLW2000-3D's landmarks; hand2d.npz in its folder by default."),
    ] = None,
    without: opt.WithoutOption = None,
    json_to: opt.JsonOption = None,
    mirror: opt.MirrorOption = True,
    refine: opt.RefineOption = True,
    execution: Execution,
) -> None:
    """Visibility and standard deviation of single landmarks, against hand marks and labels.

    --out takes report.json and report.md.
    """
    opt.need_scipy()
    from jvcr.evaluate import confidence as benchmark

    prepare_outputs(out, json_to, root=root, inputs=[*(weights or ()), without, hand])
    with ProgressBar() as progress:
        report = benchmark.evaluate(
            root,
            weights,
            mirror=mirror,
            refine=refine,
            execution=execution,
            hand=hand,
            without=opt.names_to_leave_out(without),
            progress=progress,
        )
    show_and_write(report, out, json_to)
