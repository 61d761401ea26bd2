"""``jvcr train``: from a training table to weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jvcr.cli.console import log
from jvcr.extras import missing

if TYPE_CHECKING:
    from jvcr.evaluate.run import Report
    from jvcr.train.loop import Progress as TrainingProgress


def train(
    data: Annotated[Path, typer.Option(help="Folder of a training table: labels.npz and *.tar (docs/datasets.md).")],
    out: Annotated[Path, typer.Option(help="Folder of the run. A run that is there already goes on.")],
    preset: Annotated[str, typer.Option(help="small, paper or tiny.")] = "small",
    samples: Annotated[int | None, typer.Option(help="Stretch or shorten the recipe to this many crops.")] = None,
    seed: Annotated[int, typer.Option(help="Decides weights, order and augmentation.")] = 0,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    minutes: Annotated[float, typer.Option(help="Stop (and save) after this long; run again to go on.")] = math.inf,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare crops.")] = None,
) -> None:
    """Train in two stages: G and P side by side on true volumes, then end to end.

    In the --out folder, model.safetensors holds the averaged weights, log.csv the validations, last.ckpt all that is
    needed to go on: run the same command again after an interruption.
    """
    try:
        from jvcr.data.backgrounds import read_backgrounds
        from jvcr.data.table import Table
        from jvcr.train.config import RECIPES
        from jvcr.train.loop import Training
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    if preset not in RECIPES:
        raise ValueError(f"preset {preset!r} is unknown; expected one of {', '.join(RECIPES)}")
    config = replace(RECIPES[preset], seed=seed)
    if samples is not None:
        config = config.scaled_to(samples)
    if workers is not None:
        config = replace(config, workers=workers)
    log.print(f"reading {data} …", highlight=False)
    table, validation = Table(data, "train"), Table(data, "val")
    backgrounds = read_backgrounds(data)
    log.print(
        f"{len(table)} training and {len(validation)} validation faces, "
        f"{len(backgrounds.without_faces)} photographs without a face",
        highlight=False,
    )
    with _Bar(config.total_samples) as bar:
        training = Training(config, table.markup, table, validation, backgrounds, out, bar, accelerator)
        if training.step:
            log.print(f"going on from {out / 'last.ckpt'} at {training.samples} samples", highlight=False)
        result = training.run(seconds=minutes * 60)
    if result is not None:
        typer.echo(str(result))
    typer.echo(f"→ {out / 'model.safetensors'}")


class _Bar:
    """A progress bar as the training's listener; validations are printed above it."""

    def __init__(self, samples: int) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[stage]}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} crops  {task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=log,
        )
        self._task = self._progress.add_task("", total=samples, stage="starting", losses="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_progress(self, progress: TrainingProgress) -> None:
        losses = (
            f"voxel {progress.voxel_loss:.4f}  coordinate {progress.coordinate_loss:.4f}  "
            f"lr {progress.lr:.1e}  {progress.images_per_s:.0f}/s"
        )
        self._progress.update(self._task, completed=progress.samples, stage=progress.stage.name, losses=losses)

    def on_validation(self, samples: int, result: Report) -> None:
        self._progress.update(self._task, completed=samples)
        log.print(f"{samples:>9,} crops: {result}", highlight=False, soft_wrap=True)
