"""``jvcr train``: train a network."""

from __future__ import annotations

import enum
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jvcr.cli.console import log
from jvcr.cli.data.storing import table_files
from jvcr.extras import missing
from jvcr.io.outputs import check_outputs
from jvcr.weights import weights_path

if TYPE_CHECKING:
    from jvcr.train.config import RunConfig
    from jvcr.train.detector import DetectTask
    from jvcr.train.landmarks import LandmarkTask
    from jvcr.train.loop import Progress as TrainingProgress
    from jvcr.train.task import Result, Task

    _Config = TypeVar("_Config", bound=RunConfig)


_LISTED = 10


class TaskName(enum.StrEnum):
    """What to train."""

    LANDMARKS = "landmarks"
    DETECT = "detect"


class OnBad(enum.StrEnum):
    """What to do with damaged images."""

    STOP = "stop"
    SKIP = "skip"


def run_outputs(out: Path) -> list[tuple[str, Path]]:
    """The files that a training in this folder writes, for ``check_outputs``."""
    names = ("last.ckpt", "model.safetensors", "log.csv", "losses.csv")
    # Each is first written under another name, with this ending.
    files = [out / f"{name}{ending}" for name in names for ending in ("", ".part")]
    return [("--out", path) for path in (*files, *sorted((out / "pictures").glob("*.jpg")))]


@dataclass(frozen=True)
class _Wishes:
    """The options that determine what is trained."""

    data: Path
    preset: str | None
    config: Path | None
    init: Path | None
    samples: int | None
    seed: int | None
    workers: int | None
    markup: str | None
    left_out: list[str] | None

    def applied(self, settings: _Config, rows: int) -> _Config:
        """Settings for a table with ``rows`` rows, with the options applied."""
        if self.seed is not None:
            settings = replace(settings, seed=self.seed)
        if self.workers is not None:
            settings = replace(settings, workers=self.workers)
        settings = settings.for_rows(rows)
        return settings if self.samples is None else settings.scaled_to(self.samples)


def train(
    data: Annotated[Path, typer.Option(help="Folder of a training table: labels.npz and *.tar (docs/datasets.md).")],
    out: Annotated[Path, typer.Option(help="Folder of the run. An existing run is resumed.")],
    task: Annotated[
        TaskName, typer.Option(help="landmarks, or detect: the face detector (docs/detector.md).")
    ] = TaskName.LANDMARKS,
    preset: Annotated[
        str | None,
        typer.Option(
            help="small, nano, large, paper-size, paper, paper-code, finetune or tiny; with --task detect: detector "
            "or tiny-detector (docs/training.md)."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file; overrides any field of the preset.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Start from trained weights: shipped ones by name, or a .safetensors file.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Scale the recipe to this number of pictures.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initial weights, sampling and augmentation.")] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Devices per machine (DDP); they share every batch.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; start the command on each (docs/training.md).")] = 1,
    minutes: Annotated[
        float, typer.Option(help="Stop and save after this many minutes; run again to resume.")
    ] = math.inf,
    markup: Annotated[
        str | None,
        typer.Option(help="68, 66, 71, 21, 200 or a file (docs/markup.md); the table's own by default."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Data loader processes per device.")] = None,
    on_bad: Annotated[
        OnBad, typer.Option(help="Damaged images: stop, or skip (leave them out and list their ids).")
    ] = OnBad.STOP,
) -> None:
    """Train a landmark network (G and P side by side on ground-truth volumes, then end to end) or the face detector.

    The --out folder gets model.safetensors (EMA weights), log.csv (validations), losses.csv, pictures/ (drawn
    validation pictures), tensorboard/ and last.ckpt (the checkpoint). To resume after an interruption, run the same
    command again.
    """
    try:
        from jvcr.train.loop import Hardware, Loop
    except ModuleNotFoundError as error:
        raise missing("train", error) from error
    # Only the first process on a machine prints.
    log.quiet = os.environ.get("LOCAL_RANK", "0") != "0"
    initial = None if init is None else weights_path(init, ".safetensors")
    # A run replaces its own files, but never what it reads.
    check_outputs(run_outputs(out), [*table_files(data), config, initial, markup], may_replace=True)
    left_out: list[str] | None = [] if on_bad is OnBad.SKIP else None
    wishes = _Wishes(data, preset, config, initial, samples, seed, workers, markup, left_out)
    log.print(f"reading {data} …", highlight=False)
    chosen: Task = _detect_task(wishes) if task is TaskName.DETECT else _landmark_task(wishes)
    if left_out:
        _list_left_out(left_out)
    total = chosen.config.total_samples
    with TrainingBar(total) as bar:
        loop = Loop(chosen, out, bar, Hardware(accelerator, devices, nodes))
        bar.start_at(loop.samples)
        if loop.samples >= total:
            log.print(f"{out} is a finished run; there is nothing left to do", highlight=False)
        elif loop.step:
            log.print(f"resuming from {out / 'last.ckpt'} at {loop.samples} samples", highlight=False)
        elif initial is not None:
            log.print(f"starting from {initial}: {chosen.start}", highlight=False)
        result = loop.run(seconds=minutes * 60)
    if result is not None:
        typer.echo(str(result))
        typer.echo(f"→ {out / 'model.safetensors'}")
    if loop.samples < total:
        log.print(f"stopped at {loop.samples:,} of {total:,} pictures; run the same command to resume", highlight=False)


def _list_left_out(left_out: list[str]) -> None:
    """Name every image that was left out; the reason for the first few."""
    for line in left_out[:_LISTED]:
        log.print(f"left out: {line}", markup=False, highlight=False, soft_wrap=True)
    if len(left_out) > _LISTED:
        names = " ".join(line.partition(" (")[0] for line in left_out[_LISTED:])
        log.print(f"left out: {names}", markup=False, highlight=False, soft_wrap=True)
    log.print(f"{len(left_out)} damaged images left out", highlight=False)


def _landmark_task(wishes: _Wishes) -> LandmarkTask:
    from jvcr.data.derive import derived
    from jvcr.data.table import Table
    from jvcr.markups.file import markup_from
    from jvcr.model.checkpoint import load_weights
    from jvcr.train.data.backgrounds import read_backgrounds
    from jvcr.train.initial import is_deeper, is_finer
    from jvcr.train.landmarks import LandmarkTask
    from jvcr.train.recipes import RECIPES
    from jvcr.train.settings import settings_of

    settings = settings_of(RECIPES, wishes.config, wishes.preset, "finetune" if wishes.init else "small")
    if wishes.init is not None:
        theirs = load_weights(wishes.init)[1].config
        if is_deeper(settings.model, theirs):
            log.print(f"deeper network than in {wishes.init}: its last stack is repeated", highlight=False)
        elif is_finer(settings.model, theirs):
            log.print(f"finer last volume than in {wishes.init}", highlight=False)
        elif replace(settings.model, n_points=theirs.n_points) in (theirs, RECIPES["finetune"].model):
            settings = replace(settings, model=theirs)
        else:
            raise ValueError(
                f"{wishes.init} is a network of other sizes than the settings; drop --preset and [model], choose the "
                "sizes of the weights, or add stacks as deep as the last"
            )
    wanted = markup_from(wishes.markup) if wishes.markup is not None else None
    table, validation = (Table(wishes.data, split, left_out=wishes.left_out) for split in ("train", "val"))
    wanted = wanted or table.markup
    table, validation = derived(table, wanted), derived(validation, wanted)
    settings = wishes.applied(settings, len(table))
    backgrounds = read_backgrounds(wishes.data, left_out=wishes.left_out)
    log.print(
        f"{len(table)} training and {len(validation)} validation faces, "
        f"{len(backgrounds.without_faces)} photographs without a face",
        highlight=False,
    )
    return LandmarkTask(settings, wanted, table, validation, backgrounds, wishes.init)


def _detect_task(wishes: _Wishes) -> DetectTask:
    from jvcr.data.face_photos import read_face_photos
    from jvcr.data.table import Table
    from jvcr.train.data.scenes import SceneSources
    from jvcr.train.detector import DetectTask
    from jvcr.train.recipes import DETECT_RECIPES
    from jvcr.train.settings import settings_of

    if wishes.markup is not None:
        raise ValueError("--markup is for landmarks; drop it with --task detect")
    settings = settings_of(DETECT_RECIPES, wishes.config, wishes.preset, "detector")
    training, validation = (
        SceneSources(
            read_face_photos(wishes.data, split, left_out=wishes.left_out),
            Table(wishes.data, split, left_out=wishes.left_out),
        )
        for split in ("train", "val")
    )
    settings = wishes.applied(settings, len(training.photos))
    log.print(
        f"{len(training.crowded)} photographs with faces, {len(training.empty)} without, "
        f"{len(training.crops)} face crops",
        highlight=False,
    )
    return DetectTask(settings, training, validation, wishes.init)


class TrainingBar:
    """Listener that shows a progress bar and prints validations above it."""

    def __init__(self, samples: int) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[stage]}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}  {task.fields[losses]}"),
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
        values = "  ".join(f"{name.removesuffix('_loss')} {value:.4f}" for name, value in progress.losses.items())
        losses = (
            f"{values}  "
            f"lr {progress.lr:.1e}  {progress.images_per_s:.0f}/s, {100 * progress.waiting:.0f} % waiting for data"
        )
        self._progress.update(self._task, completed=progress.samples, stage=progress.stage.name, losses=losses)

    def on_validation(self, samples: int, result: Result) -> None:
        self._progress.update(self._task, completed=samples)
        log.print(f"{samples:>9,}: {result}", highlight=False, soft_wrap=True)
