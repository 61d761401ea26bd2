"""``jvcr evaluate table``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jvcr.cli.evaluate.benchmark_options import (
    JsonOption,
    MirrorOption,
    OutOption,
    RefineOption,
    WeightsOption,
    need_scipy,
)
from jvcr.cli.evaluate.report_output import ProgressBar, prepare_outputs, show_and_write
from jvcr.cli.options import BackendOption, DeviceOption, PrecisionOption, ThreadsOption
from jvcr.runtime.backends import Backend


def table(
    root: Annotated[Path, typer.Option(help="Folder of the training table.")],
    weights: WeightsOption = None,
    out: OutOption = None,
    json_to: JsonOption = None,
    mirror: MirrorOption = True,
    refine: RefineOption = False,
    threads: ThreadsOption = 0,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
) -> None:
    """NME by yaw and GTE on the validation rows of a training table, from true boxes.

    --out takes report.json and report.md.
    """
    need_scipy()
    from jvcr.evaluate import table as benchmark
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
            progress=progress,
        )
    show_and_write(report, out, json_to)
