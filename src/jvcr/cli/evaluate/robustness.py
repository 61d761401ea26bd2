"""``jvcr evaluate robustness``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write

if TYPE_CHECKING:
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def robustness(
    *,
    root: Annotated[Path, typer.Option(help="Folder of a training table, or of AFLW2000-3D.")],
    weights: opt.WeightsOption = None,
    out: opt.OutOption = None,
    limit: opt.LimitOption = 10.0,
    seed: Annotated[int, typer.Option(help="Seed of shifts, rotations and noise.")] = 0,
    json_to: opt.JsonOption = None,
    mirror: opt.MirrorOption = True,
    refine: opt.RefineOption = True,
    execution: Execution,
) -> None:
    """Robustness to box errors and image degradation, of a training table's validation rows or AFLW2000-3D.

    --out takes report.json and report.md.
    """
    opt.need_scipy()
    from jvcr.evaluate import robustness as benchmark

    prepare_outputs(out, json_to, root=root, inputs=weights or ())
    with ProgressBar() as progress:
        report = benchmark.evaluate(
            root,
            weights,
            mirror=mirror,
            refine=refine,
            execution=execution,
            limit=limit / 100,
            seed=seed,
            progress=progress,
        )
    show_and_write(report, out, json_to)
