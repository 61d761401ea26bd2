"""``jvcr evaluate table``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvcr.cli.evaluate import options as opt
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write

if TYPE_CHECKING:
    from jvcr.evaluate.systems import Execution


@opt.with_execution
def table(
    *,
    root: Annotated[Path, typer.Option(help="Folder of the training table.")],
    weights: opt.WeightsOption = None,
    out: opt.OutOption = None,
    json_to: opt.JsonOption = None,
    mirror: opt.MirrorOption = True,
    refine: opt.RefineOption = False,
    execution: Execution,
) -> None:
    """NME by yaw and GTE on the validation rows of a training table, from true boxes.

    --out takes report.json and report.md.
    """
    opt.need_scipy()
    from jvcr.evaluate import table as benchmark

    prepare_outputs(out, json_to, root=root, inputs=weights or ())
    with ProgressBar() as progress:
        report = benchmark.evaluate(
            root,
            weights,
            mirror=mirror,
            refine=refine,
            execution=execution,
            progress=progress,
        )
    show_and_write(report, out, json_to)
