"""Logs of a run: CSV files, TensorBoard, and pictures of validation faces."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from jvcr.images import Image, write_image
from jvcr.model.checkpoint import write_atomically


class Records:
    """``losses.csv``, ``log.csv`` (validations) and ``pictures/``; also ``tensorboard/`` if tensorboard is installed.

    Args:
        samples: position where the run resumes; ``validated``: its last complete validation. Later records are dropped,
            because they will be written again.
    """

    def __init__(self, out: Path, samples: int, validated: int) -> None:
        self._out = out
        _forget_later_rows(out / "losses.csv", samples)
        _forget_later_rows(out / "log.csv", validated)
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            return
        self._board = SummaryWriter(out / "tensorboard", purge_step=samples + 1)

    def losses(self, row: dict[str, Any]) -> None:
        """Add a row of training losses; its first entry is ``samples``."""
        self._add("losses.csv", "training", row)

    def validation(self, row: dict[str, Any]) -> None:
        """Add a row of validation results; its first entry is ``samples``."""
        self._add("log.csv", "validation", row)

    def picture(self, samples: int, sheet: Image) -> None:
        """Save a sheet of validation faces, (H, W, 3) uint8 RGB, after ``samples`` samples."""
        folder = self._out / "pictures"
        folder.mkdir(exist_ok=True)
        write_image(folder / f"{samples:09d}.jpg", sheet)
        if self._board is not None:
            self._board.add_image("validation faces", sheet, samples, dataformats="HWC")

    def close(self) -> None:
        """Close the TensorBoard file, if there is one."""
        if self._board is not None:
            self._board.close()

    def _add(self, name: str, group: str, row: dict[str, Any]) -> None:
        path = self._out / name
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        for key, value in row.items() if self._board is not None else ():
            if isinstance(value, int | float) and key != "samples":
                self._board.add_scalar(f"{group}/{key}", value, row["samples"])


def _forget_later_rows(path: Path, samples: int) -> None:
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    # A killed run may leave a truncated row, or an empty file.
    kept = [
        row
        for row in rows
        if row is rows[0] or (len(row) == len(rows[0]) and row[0].isdigit() and int(row[0]) <= samples)
    ]
    if not kept:
        path.unlink()
    elif kept != rows:
        write_atomically(path, lambda temporary: _write(temporary, kept))


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
