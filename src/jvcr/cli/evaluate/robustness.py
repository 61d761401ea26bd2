"""``jvcr evaluate robustness``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.evaluate.benchmark_options import (
    JsonOption,
    LimitOption,
    MirrorOption,
    OutOption,
    RefineOption,
    WeightsOption,
    need_scipy,
)
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write
from jvcr.cli.options import BackendOption, DeviceOption, PrecisionOption, ThreadsOption
from jvcr.runtime.backends import Backend


def robustness(
    root: Annotated[Path, typer.Option(help="Folder of a training table, or of AFLW2000-3D.")],
    weights: WeightsOption = None,
    out: OutOption = None,
    limit: LimitOption = 10.0,
    seed: Annotated[int, typer.Option(help="Of shifts, turns and noise.")] = 0,
    json_to: JsonOption = None,
    mirror: MirrorOption = True,
    refine: RefineOption = True,
    threads: ThreadsOption = 0,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
) -> None:
    """Robustness to box errors and image degradation, of a training table's validation rows or AFLW2000-3D.

    --out takes report.json and report.md.
    """
    need_scipy()
    from jvcr.evaluate import robustness as benchmark
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
            mirror=mirror,
            refine=refine,
            execution=Execution(backend, device, precision, threads),
            limit=limit / 100,
            seed=seed,
            progress=progress,
        )
    show_and_write(report, out, json_to)
