"""Files of landmark boxes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from jvcr.files import read_text


class GivenBoxes:
    """Landmark boxes by photo, named by path or by file name."""

    def __init__(self, boxes: dict[str, list[list[float]]]) -> None:
        self._boxes = {Path(name).as_posix(): rows for name, rows in boxes.items()}
        self._unused = set(self._boxes)

    def of(self, path: Path) -> list[list[float]]:
        """Boxes of one photo; [] for a photo that is not listed."""
        for name in (path.as_posix(), path.name):
            if name in self._boxes:
                self._unused.discard(name)
                return self._boxes[name]
        return []

    def unused(self) -> list[str]:
        """Names that matched no photo."""
        return sorted(self._unused)

    @classmethod
    def read(cls, path: Path) -> GivenBoxes:
        """Read JSON or CSV, depending on the file's suffix.

        Raises:
            ValueError: the file is missing or malformed; the message names the line.
        """
        text = read_text(path)
        expected = "expected JSON {photo: [[x0, y0, x1, y1], …]} or CSV lines photo,x0,y0,x1,y1"
        try:
            return cls(_json_boxes(text) if path.suffix.lower() == ".json" else _csv_boxes(text))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error) as error:
            raise ValueError(f"{path}: {error}; {expected}") from None


def _json_boxes(text: str) -> dict[str, list[list[float]]]:
    return {str(name): _table(name, rows) for name, rows in json.loads(text).items()}


def _table(name: str, rows: list[list[float]]) -> list[list[float]]:
    try:
        return [[float(v) for v in box] for box in rows]
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name!r}: {error}") from None


def _csv_boxes(text: str) -> dict[str, list[list[float]]]:
    boxes: dict[str, list[list[float]]] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
        if not row or (number == 1 and row[1:2] == ["x0"]):
            continue
        try:
            name, x0, y0, x1, y1 = row
            boxes.setdefault(name, []).append([float(x0), float(y0), float(x1), float(y1)])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return boxes
