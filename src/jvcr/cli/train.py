"""``jvcr train``: from a training table to weights."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jvcr.cli.console import log
from jvcr.extras import missing
from jvcr.weights import weights_path

if TYPE_CHECKING:
    from jvcr.evaluate.run import Report
    from jvcr.train.loop import Progress as TrainingProgress


def train(
    data: Annotated[Path, typer.Option(help="Folder of a training table: labels.npz and *.tar (docs/datasets.md).")],
    out: Annotated[Path, typer.Option(help="Folder of the run. A run that is there already goes on.")],
    preset: Annotated[
        str | None,
        typer.Option(help="small, large, paper-size, paper, paper-code, finetune or tiny (docs/training.md)."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file; overrides any field of the preset.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Start from trained weights: shipped ones by name, or a .safetensors file.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Stretch or shorten the recipe to so many crops.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides weights, order and augmentation.")] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Devices on each machine (DDP); they share every batch.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; start the command on each (docs/training.md).")] = 1,
    minutes: Annotated[float, typer.Option(help="Stop (and save) after this long; run again to go on.")] = math.inf,
    markup: Annotated[
        str | None,
        typer.Option(help="68, 66, 71, 21, 200 or a file (docs/markup.md); the table's own by default."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare crops, a device.")] = None,
) -> None:
    """Train in stages: G and P side by side on true volumes, then end to end.

    In the --out folder, model.safetensors holds the averaged weights, log.csv the validations, losses.csv the losses,
    pictures/ drawn validation faces, tensorboard/ all of that, and last.ckpt all that is needed to go on: run the same
    command again after an interruption.
    """
    try:
        from jvcr.data.backgrounds import read_backgrounds
        from jvcr.data.derive import derived
        from jvcr.data.table import Table
        from jvcr.markup_file import markup_from
        from jvcr.model.checkpoint import load_weights
        from jvcr.train.initial import is_deeper
        from jvcr.train.loop import Hardware, Training
        from jvcr.train.settings import read_settings, recipe
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    # Of several processes on a machine, the first one speaks.
    log.quiet = os.environ.get("LOCAL_RANK", "0") != "0"
    initial = None if init is None else weights_path(init, ".safetensors")
    default = "finetune" if init else "small"
    settings = recipe(preset or default) if config is None else read_settings(config, preset, default)
    if initial is not None:
        theirs = load_weights(initial)[1].config
        if is_deeper(settings.model, theirs):
            log.print(f"a deeper network than that of {initial}: its last stack is repeated", highlight=False)
        elif replace(settings.model, n_points=theirs.n_points) in (theirs, recipe("finetune").model):
            settings = replace(settings, model=theirs)
        else:
            raise ValueError(
                f"{initial} is a network of other sizes than the settings ask for; leave out --preset and [model], or "
                "choose those of the weights, or the same with more stacks as deep as the last"
            )
    if seed is not None:
        settings = replace(settings, seed=seed)
    if workers is not None:
        settings = replace(settings, workers=workers)
    wanted = markup_from(markup) if markup is not None else None
    log.print(f"reading {data} …", highlight=False)
    table, validation = Table(data, "train"), Table(data, "val")
    wanted = wanted or table.markup
    table, validation = derived(table, wanted), derived(validation, wanted)
    settings = settings.for_rows(len(table))
    if samples is not None:
        settings = settings.scaled_to(samples)
    backgrounds = read_backgrounds(data)
    log.print(
        f"{len(table)} training and {len(validation)} validation faces, "
        f"{len(backgrounds.without_faces)} photographs without a face",
        highlight=False,
    )
    with TrainingBar(settings.total_samples) as bar:
        hardware = Hardware(accelerator, devices, nodes)
        training = Training(settings, wanted, table, validation, backgrounds, out, bar, hardware, initial)
        bar.start_at(training.samples)
        if training.samples >= settings.total_samples:
            log.print(f"{out} is a finished run: nothing is left to do", highlight=False)
        elif training.step:
            log.print(f"going on from {out / 'last.ckpt'} at {training.samples} samples", highlight=False)
        elif training.taken is not None:
            log.print(
                f"starting from {initial}: {training.taken.tensors} tensors and {training.taken.landmarks} landmarks "
                f"taken; new: {', '.join(training.taken.new) or 'nothing'}",
                highlight=False,
            )
        result = training.run(seconds=minutes * 60)
    if result is not None:
        typer.echo(str(result))
        typer.echo(f"→ {out / 'model.safetensors'}")
    if training.samples < settings.total_samples:
        log.print(
            f"stopped at {training.samples:,} of {settings.total_samples:,} crops; the same command goes on",
            highlight=False,
        )


class TrainingBar:
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

    def __enter__(self) -> TrainingBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start_at(self, samples: int) -> None:
        self._progress.update(self._task, completed=samples)

    def on_progress(self, progress: TrainingProgress) -> None:
        losses = (
            f"voxel {progress.voxel_loss:.4f}  coordinate {progress.coordinate_loss:.4f}  "
            f"lr {progress.lr:.1e}  {progress.images_per_s:.0f}/s, {100 * progress.waiting:.0f} % waiting for data"
        )
        self._progress.update(self._task, completed=progress.samples, stage=progress.stage.name, losses=losses)

    def on_validation(self, samples: int, result: Report) -> None:
        self._progress.update(self._task, completed=samples)
        log.print(f"{samples:>9,} crops: {result}", highlight=False, soft_wrap=True)
