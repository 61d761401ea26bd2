"""``jvcr evaluate``: score weights on a benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jvcr.extras import missing
from jvcr.landmarker import weights_path
from jvcr.markup import MARKUP_68
from jvcr.runtime.onnx import OnnxRuntime


def evaluate(
    benchmark: Annotated[str, typer.Argument(help="aflw2000-3d, or table (the validation rows of a training table).")],
    root: Annotated[Path, typer.Option(help="Folder of the data set.")],
    weights: Annotated[str, typer.Option(help="Name of shipped weights, or an ONNX file.")] = "small",
    json_to: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """NME per yaw bin and GTE, from the crops of the true landmark boxes."""
    try:
        from jvcr.data.aflw2000 import read_aflw2000, reannotated_targets
        from jvcr.data.derive import derived, derived_points, derived_samples
        from jvcr.data.table import Table
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    from jvcr.evaluate.run import Report, predict_samples, report

    runtime = OnnxRuntime(weights_path(weights))
    eyes = runtime.markup.normaliser
    reports: dict[str, Report] = {}
    if benchmark == "aflw2000-3d":
        predictions = predict_samples(runtime, derived_samples(read_aflw2000(root), runtime.markup))
        reports["original labels"] = report(predictions, eyes)
        targets = reannotated_targets(root, predictions.names)
        if targets is not None:
            targets = derived_points(targets, MARKUP_68, runtime.markup)
            reports["Reannotated labels (2D)"] = report(predictions, eyes, targets)
    elif benchmark == "table":
        table = derived(Table(root, "val"), runtime.markup)
        reports["validation rows"] = report(predict_samples(runtime, (table[i] for i in range(len(table)))), eyes)
    else:
        raise ValueError(f"benchmark {benchmark!r} is unknown; expected aflw2000-3d or table")
    for name, result in reports.items():
        typer.echo(f"{name}: {result}")
    if json_to is not None:
        json_to.write_text(json.dumps({name: r.to_dict() for name, r in reports.items()}, indent=1), encoding="utf-8")
