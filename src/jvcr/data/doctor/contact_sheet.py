"""Contact sheet of a data check: the findings, framed and labelled, and a stratified sample of the other rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

from jvcr.data.doctor.check import YAW_BINS
from jvcr.data.doctor.duplicates import belongs
from jvcr.data.doctor.entries import Entry, Source
from jvcr.data.doctor.report import Case, Finding, Report
from jvcr.draw.landmarks import draw_faces
from jvcr.frames import Box, Crop, CropRule
from jvcr.images import Image, extract
from jvcr.results import Face

_CELL = 220
_LINE = 15
_CAPTION = 3 * _LINE + 5
_COLUMNS = 8
_DRAWN = 352
"""Faces are drawn at this size, so that ``draw_faces`` does not enlarge them, and then reduced to the cell."""
_COLOURS = {"error": (220, 30, 30), "warning": (230, 140, 0), "note": (90, 110, 200)}
_RULE = 1.8


@dataclass(frozen=True)
class _Cell:
    row: int
    finding: Finding | None = None
    case: Case | None = None


def contact_sheet(report: Report, source: Source, n_faults: int = 48, n_samples: int = 40) -> Image:
    """Draw the worst cases of each fault and a sample over sources and yaw bins: (H, W, 3) uint8 RGB.

    Args:
        source: the checked source; the images to draw are read a second time.
        n_faults: maximum number of cells with a fault; all codes take turns.
        n_samples: maximum number of cells without a fault.
    """
    faults = _worst(report, n_faults)
    flagged = {row for f in report.findings if f.severity != "note" for c in f.cases for row in (c.row, c.partner)}
    samples = [_Cell(row) for row in _stratified(report, flagged, n_samples)]
    wanted = frozenset(cell.row for cell in faults + samples)
    pictures: dict[int, tuple[Entry, Image]] = {}
    for entry in source.entries(wanted) if wanted else ():
        pictures[entry.row] = entry, _picture(entry)
    parts = [_headline(report)]
    for title, cells in (("found", faults), ("a sample of the rest, by source and yaw", samples)):
        drawn = [_cell(cell, *pictures[cell.row]) for cell in cells if cell.row in pictures]
        if drawn:
            parts += [_text_strip(title, 24), *_rows(drawn)]
    return np.concatenate(parts)


def _worst(report: Report, limit: int) -> list[_Cell]:
    """The largest cases of every code in turn; a pair takes two cells."""
    shown: dict[str, list[list[_Cell]]] = {}
    per_code = [
        [(finding, case) for case in finding.cases if case.row is not None][:limit]
        for finding in report.findings
        if finding.severity != "note"
    ]
    left = limit
    for round_ in zip_longest(*per_code):
        for finding, case in filter(None, round_):
            rows = [row for row in (case.row, case.partner) if row is not None]
            if len(rows) > left:
                break
            left -= len(rows)
            shown.setdefault(finding.code, []).append([_Cell(row, finding, case) for row in rows])
    return [cell for groups in shown.values() for group in groups for cell in group]


def _stratified(report: Report, flagged: set[int | None], limit: int) -> list[int]:
    """Rows from each source and yaw bin in turn, evenly spread within it."""
    strata: dict[tuple[str, int], list[int]] = {}
    for row, (source, yaw) in enumerate(zip(report.sources, report.yaw_deg, strict=True)):
        if row not in flagged:
            bin_ = next((i for i, (_, high) in enumerate(YAW_BINS) if abs(yaw) <= high), len(YAW_BINS))
            strata.setdefault((source, bin_), []).append(row)
    share = [
        [
            rows[i]
            for i in np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int)[_spread(min(limit, len(rows)))]
        ]
        for _, rows in sorted(strata.items())
    ]
    turns = [row for round_ in zip_longest(*share) for row in round_ if row is not None]
    return sorted(turns[:limit], key=lambda row: (report.sources[row], abs(np.nan_to_num(report.yaw_deg[row], nan=99))))


def _spread(count: int) -> NDArray[np.int_]:
    """A fixed permutation of 0…count-1 in which every prefix is spread over the whole range."""
    return np.argsort((np.arange(count) * 0.6180339887498949) % 1)


def _picture(entry: Entry) -> Image:
    """The face with its landmarks, (_CELL, _CELL, 3)."""
    if entry.image is None:
        return np.full((_CELL, _CELL, 3), 70, np.uint8)
    points = entry.points_img
    placed = np.isfinite(points[:, :2]).all(axis=1)
    height, width = entry.image.shape[:2]
    box, whole = Box.of_image(width, height), True
    if placed.sum() >= 2 and np.ptp(points[placed, :2], axis=0).min() > 0:
        around = Box.around(points[placed])
        whole = not belongs(around, entry.image)
        box = box if whole else around
    crop = Crop.from_box(box, _DRAWN, rule=CropRule(1.0 if whole else _RULE))
    canvas = extract(entry.image, crop, cv2.BORDER_CONSTANT)
    drawn = crop.to_crop(points)
    if placed.all() and not whole and len(points) == entry.markup.n_points:
        drawn[:, 2] = np.nan_to_num(drawn[:, 2], posinf=0, neginf=0)
        face = Face(drawn.astype(np.float32), Box.around(drawn), 1.0, markup=entry.markup)
        canvas = draw_faces(canvas, [face], boxes=False)
    else:
        for x, y in np.clip(drawn[placed, :2], -9 * _DRAWN, 9 * _DRAWN):
            cv2.circle(canvas, (round(float(x)), round(float(y))), 3, (255, 55, 95), cv2.FILLED, cv2.LINE_AA)
    return np.asarray(cv2.resize(canvas, (_CELL, _CELL), interpolation=cv2.INTER_AREA), np.uint8)


def _cell(cell: _Cell, entry: Entry, picture: Image) -> Image:
    out = np.full((_CELL + _CAPTION, _CELL, 3), 255, np.uint8)
    out[:_CELL] = picture
    lines = [entry.name, f"{entry.source or '-'}, {entry.split or '-'}", ""]
    colour = (60, 60, 60)
    if cell.finding is not None and cell.case is not None:
        colour = _COLOURS[cell.finding.severity]
        lines[1:] = [cell.finding.code, cell.case.detail]
        _ring(out, entry, cell.case)
        cv2.rectangle(out, (1, 1), (_CELL - 2, _CELL - 2), colour, 4)
    return _write(
        out, [(3, _CELL + 2 + i * _LINE, line, colour if i == 1 else (60, 60, 60)) for i, line in enumerate(lines)]
    )


def _ring(out: Image, entry: Entry, case: Case) -> None:
    """Rings around the landmarks that show the fault."""
    points = entry.points_img[list(case.landmarks)]
    if not len(points) or len(points) > entry.markup.n_points // 2:
        return
    placed = entry.points_img[np.isfinite(entry.points_img[:, :2]).all(axis=1)]
    if entry.image is None or len(placed) < 2 or np.ptp(placed[:, :2], axis=0).min() <= 0:
        return
    box = Box.around(placed)
    if not belongs(box, entry.image):
        return
    crop = Crop.from_box(box, _CELL, rule=CropRule(_RULE))
    for x, y, _ in crop.to_crop(points[np.isfinite(points[:, :2]).all(axis=1)]):
        if abs(x) < 2 * _CELL and abs(y) < 2 * _CELL:
            cv2.circle(out[:_CELL], (round(float(x)), round(float(y))), 7, (0, 255, 255), 2, cv2.LINE_AA)


def _write(image: Image, texts: Iterable[tuple[int, int, str, tuple[int, int, int]]], size: int = 12) -> Image:
    """Draw text with Pillow, because names may contain non-ASCII characters. Long lines are truncated."""
    picture = PIL.Image.fromarray(image)
    pen = PIL.ImageDraw.Draw(picture)
    font = PIL.ImageFont.load_default(size)
    for x, y, text, colour in texts:
        while text and pen.textlength(text, font) > image.shape[1] - 2 * x:
            text = text[:-2] + "…" if len(text) > 2 else ""
        pen.text((x, y), text, fill=colour, font=font)
    return np.array(picture)


def _rows(cells: list[Image]) -> list[Image]:
    gap = np.full((cells[0].shape[0], 6, 3), 255, np.uint8)
    empty = np.full_like(cells[0], 255)
    rows = []
    for start in range(0, len(cells), _COLUMNS):
        row = cells[start : start + _COLUMNS]
        row += [empty] * (_COLUMNS - len(row))
        rows.append(np.concatenate([part for cell in row for part in (cell, gap)], axis=1))
    return rows


def _text_strip(text: str, height: int, size: int = 15) -> Image:
    strip = np.full((height, _COLUMNS * (_CELL + 6), 3), 255, np.uint8)
    return _write(strip, [(4, 3, text, (0, 0, 0))], size)


def _headline(report: Report) -> Image:
    found = ", ".join(f"{f.code} {f.count}" for f in report.findings if f.severity != "note") or "nothing found"
    lines = [f"{report.title}: {report.counts.samples} samples", found]
    return np.concatenate([_text_strip(line, 24) for line in lines])
