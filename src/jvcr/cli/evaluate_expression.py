"""``jvcr evaluate expression``: do eyes close and mouths open?"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import jvcr
from jvcr.images import Image

if TYPE_CHECKING:
    from jvcr.data.sample import Sample
    from jvcr.evaluate.expression import ExpressionTruth
    from jvcr.evaluate.scores import System


def read_marked(
    root: Path, hand: Path | None, without: frozenset[str]
) -> tuple[ExpressionTruth, list[Sample], Callable[[str], Image]]:
    """The hand-marked faces of a training table's validation rows, or of AFLW2000-3D.

    Args:
        root: folder of either.
        hand: hand marks of AFLW2000-3D's images; by default ``hand2d.npz`` in the folder.
        without: names to leave out.
    Returns:
        the truth, its samples in order, and a function from name to photo.
    Raises:
        FileNotFoundError, ValueError: something is missing, or no face has hand marks.
    """
    from jvcr.data.formats.aflw2000 import read_aflw2000
    from jvcr.data.table import Table
    from jvcr.evaluate.expression import HAND_FILE, marked_rows, read_hand_marks, truth_of_samples

    if (root / "labels.npz").is_file():
        if hand is not None:
            raise ValueError(f"--hand {hand} is for AFLW2000-3D; a training table holds its own hand marks")
        table = Table(root, "val")
        title, samples = "validation rows", [table[row] for row in marked_rows(table)]
    else:
        marks = read_hand_marks(hand or root / HAND_FILE)
        samples = [replace(s, hand2d=marks[s.name]) for s in read_aflw2000(root) if s.name in marks]
        title = "AFLW2000-3D"
    samples = [sample for sample in samples if sample.name not in without]
    if without:
        title += f" without {len(without)} named images"
    truth = truth_of_samples(title, samples)
    photos = {sample.name: sample.image for sample in samples}
    kept = set(truth.names)
    return truth, [sample for sample in samples if sample.name in kept], photos.__getitem__


def evaluate_expression(
    systems: Sequence[System], truth: ExpressionTruth, read: Callable[[str], Image], worst: int, out: Path | None
) -> dict[str, Any]:
    """Score, print, and write ``report.json``, ``report.md`` and ``report.html`` into ``out``; returns the record."""
    from jvcr.evaluate.evaluation import without_nan
    from jvcr.evaluate.expression import expression_tables, score_expression
    from jvcr.evaluate.html import expression_page

    scores = [score_expression(system, truth) for system in systems]
    tables = expression_tables(scores, truth)
    typer.echo("\n\n".join(table.to_text() for table in tables))
    record = without_nan(
        {
            "benchmark": "expression",
            "version": jvcr.__version__,
            "date": datetime.date.today().isoformat(),
            "truth": truth.title,
            "faces": len(truth.names),
            "systems": [one.to_dict() for one in scores],
        }
    )
    if out is not None:
        text = "\n\n".join(table.to_markdown() for table in tables)
        (out / "report.md").write_text(text + "\n", encoding="utf-8")
        page = expression_page(scores, truth, tables, read, worst)
        (out / "report.html").write_text(page, encoding="utf-8")
    return dict(record)
