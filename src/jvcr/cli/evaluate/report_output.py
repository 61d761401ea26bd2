"""What the sub-commands show and write: progress on stderr, the text on stdout, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import Progress, TaskID

from jvcr.cli.console import log
from jvcr.files import write_text
from jvcr.io.outputs import check_outputs

if TYPE_CHECKING:
    from jvcr.evaluate.benchmark import BenchmarkReport

Writer = Callable[[Path], object]
"""Writes one file of a report."""


class ProgressBar:
    """A bar on stderr, one stage after the other; a ``jvcr.evaluate.benchmark.Progress``."""

    def __init__(self) -> None:
        self._progress = Progress(console=log, transient=True)
        self._stage: str | None = None
        self._task = TaskID(0)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stage is not None:
            self._progress.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps of a stage are done."""
        if stage != self._stage:
            if self._stage is None:
                self._progress.start()
            else:
                self._progress.remove_task(self._task)
            self._stage, self._task = stage, self._progress.add_task(stage, total=total)
        self._progress.update(self._task, completed=done)


def prepare_outputs(
    out: Path | None,
    json_to: Path | None,
    *,
    inputs: Iterable[Path | str | None],
    root: Path | None,
    save_predictions: Path | None = None,
    page: bool = False,
) -> None:
    """Check where a report is to go, and make its folders, before anything takes its time.

    Args:
        inputs: files that are read; names of shipped weights among them are left alone.
        root: the data set's folder; a report may go into it, but no other output may replace a file of it.
        page: a ``report.html`` is written, too.
    Raises:
        ValueError: an output is an input, or another output (``jvcr.io.outputs.check_outputs``).
    """
    endings = ("json", "md", "html") if page else ("json", "md")
    reports = [] if out is None else [("--out", out / f"report.{ending}") for ending in endings]
    free = {"--json": json_to, "--save-predictions": save_predictions}
    check_outputs([*reports, *free.items()], inputs)
    check_outputs(free, [root])
    for folder in (out, *(path.parent for path in free.values() if path is not None)):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)


def text(content: Callable[[], str]) -> Writer:
    """Writes a text that is made when it is needed."""
    return lambda path: write_text(path, content())


def show_and_write(
    report: BenchmarkReport, out: Path | None, json_to: Path | None, files: Mapping[str, Writer] | None = None
) -> None:
    """Print the report, write it into ``out`` (``report.json``, ``report.md`` and ``files``) and to ``json_to``."""
    typer.echo(report.to_text())
    record = report.to_dict()
    if out is not None:
        writers: dict[str, Writer] = {
            "report.json": lambda path: _write_json(record, path),
            "report.md": text(report.to_markdown),
            **(files or {}),
        }
        for name, write in writers.items():
            write(out / name)
        for name in writers:
            typer.echo(f"→ {out / name}")
    if json_to is not None:
        _write_json(record, json_to)


def _write_json(record: dict[str, Any], path: Path) -> None:
    write_text(path, json.dumps(record, indent=1, allow_nan=False))
