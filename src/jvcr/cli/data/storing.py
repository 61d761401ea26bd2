"""Shared by ``convert`` and ``turn``: write a training table and report the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jvcr.cli.console import log
from jvcr.io.outputs import check_outputs

if TYPE_CHECKING:
    from jvcr.data.convert import Storage
    from jvcr.data.reading import Samples

_LISTED = 10


def table_files(data: Path) -> list[Path]:
    """The files of a training table."""
    return [data / "labels.npz", data / "detect_labels.npz", *sorted(data.glob("*.tar"))]


def check_folder(out: Path, inputs: list[Path]) -> None:
    """Refuse an output folder that exists, or that lies inside an input file.

    Raises:
        ValueError: as ``check_outputs``.
        FileExistsError: the folder exists and is not empty.
    """
    from jvcr.data.convert import check_new

    check_new(out)
    check_outputs([("OUT", out / name) for name in ("labels.npz", "convert.json")], inputs, may_replace=False)


def store(samples: Samples, out: Path, storage: Storage, about: dict[str, Any], strict: bool) -> None:
    """Write a table and report the result. The exit code is 1 if ``strict`` and samples were left out."""
    from jvcr.data.convert import convert as write_table

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("faces"), TimeRemainingColumn())
    with Progress(*columns, console=log) as progress:
        task = progress.add_task("", total=len(samples))
        done = write_table(samples, out, storage, about, lambda: progress.advance(task))
    for note in done.notes:
        log.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    for skipped in done.skipped[:_LISTED]:
        log.print(f"left out: {skipped}", markup=False, highlight=False, soft_wrap=True)
    if len(done.skipped) > _LISTED:
        log.print(f"left out: {len(done.skipped) - _LISTED} more, all named in {out / 'convert.json'}", highlight=False)
    splits = ", ".join(f"{count} {name}" for name, count in done.splits.items())
    bad = f"; {len(done.skipped)} left out" if done.skipped else ""
    typer.echo(f"→ {out}: {splits}; {done.image_bytes / 1e6:.1f} MB in {done.shards} tar files{bad}")
    if done.skipped and strict:
        raise typer.Exit(1)
