"""One evaluation on AFLW2000-3D: what went in, the scores, and its JSON."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import jvcr
from jvcr.evaluate.scores import CommonRow, Options, Score, System, common, score
from jvcr.evaluate.truth import Truth
from jvcr.metrics import yaw_table


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of several systems on one truth, in their order; ``common``: on the faces that all of them found."""

    truth: Truth
    options: Options
    scores: list[Score]
    common: list[CommonRow]
    date: str

    @property
    def n_points(self) -> int:
        """Landmarks that were scored."""
        return int(self.truth.original_img.shape[1])

    @property
    def introduction(self) -> list[str]:
        """What a reader must know before any figure, one sentence a line."""
        counts = {
            name: yaw_table(np.zeros(len(yaw)), yaw).counts
            for name, yaw in self.truth.yaws.items()
            if not isinstance(yaw, str)
        }
        bins = "; ".join(f"{' / '.join(map(str, c))} by {name} yaw" for name, c in counts.items())
        full = "all of it" if len(self.truth.names) == 2000 else "the whole benchmark has 2,000"
        base = {
            "respected": "Pixel base respected: pt3d_68 is 1-based, so 1 is subtracted; "
            "the Reannotated points are 0-based.",
            "as-published": "Pixel base as in the usual benchmark code: 0-based predictions are compared with the "
            "1-based original labels. This is wrong by (1, 1) px and only for comparison with published figures.",
        }[self.options.pixel_base]
        lines = [
            f"AFLW2000-3D, {len(self.truth.names)} images ({full}), {bins}. jvcr {jvcr.__version__}, {self.date}.",
            f"Scored on the {self.n_points} landmarks of markup {self.truth.markup.name}.",
            base,
            f"Intervals: {self.options.draws} bootstrap draws of images within each bin, seed {self.options.seed}. "
            f"Balanced draw: as many images of each bin (at most {self.options.balanced_per_bin}), mean over "
            f"{self.options.balanced_draws} draws, seed {self.options.seed}.",
            "A missed face has no error in any mean; it counts in failure rate, AUC and the curves.",
        ]
        lines += [f"{s.system.name}, {s.system.boxes}: {s.system.note}" for s in self.scores if s.system.note]
        return lines

    def worst(self, count: int) -> list[tuple[str, float]]:
        """Names and NME (original labels) of the faces with the largest errors of the first system, worst first."""
        errors = self.scores[0].per_face["NME", "original"]
        order = [row for row in np.argsort(-errors, kind="stable") if not np.isnan(errors[row])]
        return [(self.truth.names[row], float(errors[row])) for row in order[:count]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN (an empty bin, a missed face) becomes null."""
        record = {
            "benchmark": "aflw2000-3d",
            "version": jvcr.__version__,
            "date": self.date,
            "images": len(self.truth.names),
            "markup": self.truth.markup.name,
            "n_points": self.n_points,
            "options": asdict(self.options),
            "about": self.introduction,
            "systems": [_system(one, self.truth) for one in self.scores],
            "common": [asdict(row) for row in self.common],
            "names": self.truth.names,
            "yaw_deg": {k: v if isinstance(v, str) else v.round(3).tolist() for k, v in self.truth.yaws.items()},
        }
        return without_nan(record)


def evaluate_systems(systems: Sequence[System], truth: Truth, options: Options) -> Evaluation:
    """Score every system; with several, also on the faces that all found."""
    scores = [score(system, truth, options) for system in systems]
    rows = common(scores, truth, options) if len(scores) > 1 else []
    return Evaluation(truth, options, scores, rows, datetime.date.today().isoformat())


def without_nan(value: Any) -> Any:
    """The same lists, tuples and dicts with None for every float that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _system(one: Score, truth: Truth) -> dict[str, Any]:
    cells = []
    for (error, labels, yaw), cell in one.cells.items():
        figures = {"reason": cell} if isinstance(cell, str) else asdict(cell)
        cells.append({"error": error, "labels": labels, "yaw": yaw, "measured": not isinstance(cell, str), **figures})
    return {
        "name": one.system.name,
        "boxes": one.system.boxes,
        "note": one.system.note,
        "faces": one.faces,
        "missed": one.missed,
        "missed_by_bin": one.missed_by_bin,
        "missed_names": [n for n, found in zip(truth.names, one.system.found, strict=True) if not found],
        "cells": cells,
        "curves": {k: v if isinstance(v, str) else asdict(v) for k, v in one.curves.items()},
        "regions": {
            k: v if isinstance(v, str) else {name: asdict(table) for name, table in v.items()}
            for k, v in one.regions.items()
        },
        "pose": one.pose if isinstance(one.pose, str) else asdict(one.pose),
        "per_face": {
            f"{error}, {labels} labels": np.round(values, 6).tolist()
            for (error, labels), values in one.per_face.items()
        },
    }
