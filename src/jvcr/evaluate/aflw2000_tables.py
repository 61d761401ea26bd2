"""AFLW2000-3D: scores as text tables, shared by the terminal, Markdown and HTML. In percent and degrees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jvcr.evaluate import published
from jvcr.evaluate.aflw2000_scores import Cell, CommonRow, Score
from jvcr.evaluate.benchmark import BINS, PUBLISHED_POINTS, span
from jvcr.evaluate.pose import PoseError
from jvcr.report import NONE, Table, percent


def n_points_of(scores: Sequence[Score]) -> int:
    """Number of scored landmarks, which is the same for all systems."""
    return int(scores[0].system.points_img.shape[1])


def short(scores: Sequence[Score]) -> Table:
    """A summary for the terminal: NME by yaw on original and Reannotated labels, GTE, missed faces."""
    rows = []
    for one in scores:
        for labels in ("original", "Reannotated"):
            cell = one.cell("NME", labels)
            gte = one.cell("GTE") if labels == "original" else NONE
            missed = f"{one.missed} of {one.faces}"
            head = (one.system.name, one.system.boxes, labels)
            if isinstance(cell, str):
                rows.append((*head, cell, *[NONE] * 5, missed))
                continue
            rows.append(
                (
                    *head,
                    *map(percent, cell.table.bins),
                    f"{percent(cell.table.mean)} ± {percent(cell.table.std)}",
                    percent(cell.table.image_mean),
                    percent(gte.table.image_mean) if isinstance(gte, Cell) else gte,
                    missed,
                )
            )
    header = ("aligner", "boxes", "labels", *BINS, "mean of bins", "mean of images", "GTE", "missed")
    return Table(f"NME by |yaw| (fitted), {n_points_of(scores)} points, percent", header, tuple(rows))


def all_tables(scores: Sequence[Score], common: Sequence[CommonRow]) -> list[Table]:
    """All results, as tables."""
    tables = []
    for labels in ("original", "Reannotated"):
        for yaw in ("fitted", "AFLW"):
            tables.append(_by_yaw(scores, "NME", labels, yaw))
    for error in ("GTE", "3D NME"):
        for yaw in ("fitted", "AFLW"):
            tables.append(_by_yaw(scores, error, "original", yaw))
    if common and len(scores) > 1:
        tables.append(_common(common, n_points_of(scores)))
    tables += [_curves(scores), _regions(scores), _pose(scores)]
    return tables


def _by_yaw(scores: Sequence[Score], error: str, labels: str, yaw: str) -> Table:
    n_points = n_points_of(scores)
    title = f"{error}, {n_points} points, {labels} labels, {yaw} yaw, percent"
    header = ("aligner", "boxes", *BINS, "mean of bins ± their std", "mean of images", "balanced draw", "faces missed")
    reasons = {cell for one in scores if isinstance(cell := one.cell(error, labels, yaw), str)}
    if len(reasons) == 1 and all(isinstance(one.cell(error, labels, yaw), str) for one in scores):
        return Table(title, header, (), tuple(reasons))
    rows = []
    for one in scores:
        cell = one.cell(error, labels, yaw)
        head = (one.system.name, one.system.boxes)
        if isinstance(cell, str):
            rows.append((*head, cell, *[NONE] * 6))
            continue
        table = cell.table
        rows.append(
            (
                *head,
                *(
                    f"{percent(mean)} ({span(bounds)}; {count})"
                    for mean, bounds, count in zip(table.bins, cell.bins_interval, table.counts, strict=True)
                ),
                f"{percent(table.mean)} ± {percent(table.std)} ({span(cell.mean_interval)})",
                f"{percent(table.image_mean)} ({span(cell.image_mean_interval)})",
                f"{percent(cell.balanced.mean)} ({cell.balanced.per_bin} per bin, ± {percent(cell.balanced.std)})",
                f"{one.missed} ({' + '.join(map(str, one.missed_by_bin))})" if yaw == "fitted" else str(one.missed),
            )
        )
    notes = ["In brackets: 95 % bootstrap interval; number of faces found."]
    if n_points != PUBLISHED_POINTS:
        notes.append(f"Published figures are not shown, because they are for {PUBLISHED_POINTS} points.")
    elif yaw == "fitted" and labels == "original" and error != "3D NME":
        rows += _published(error)
        notes.append(
            "Published rows cover all 2,000 images and use their authors' pixel base. They were not measured here."
        )
        if error == "GTE":
            notes.append("Published GTE are listed as means of images, but it is not known which mean they are.")
    if n_points == PUBLISHED_POINTS and error == "NME" and yaw == "fitted" and labels == "Reannotated":
        rows += [
            (name, "published", *[NONE] * 3, f"{mean:.2f}", *[NONE] * 3)
            for name, mean in published.AFLW2000_NME_REANNOTATED.items()
        ]
    return Table(title, header, tuple(rows), tuple(notes))


def _published(error: str) -> list[tuple[str, ...]]:
    if error == "GTE":
        return [
            (name, "published", *[NONE] * 4, f"{value:.2f}", *[NONE] * 2)
            for name, value in published.AFLW2000_GTE.items()
        ]
    rows = []
    for one in published.AFLW2000_NME:
        bins = [NONE] * 3 if one.bins is None else [f"{value:.2f}" for value in one.bins]
        std = "" if one.std is None else f" ± {one.std:.2f}"
        rows.append((one.method, "published", *bins, f"{one.mean:.2f}{std}", *[NONE] * 3))
    return rows


def _common(common: Sequence[CommonRow], n_points: int) -> Table:
    rows = []
    for row in common:
        cell = row.nme
        first = NONE
        if row.to_first is not None:
            first = f"{100 * row.to_first.mean:+.2f} ({span(row.to_first.interval)})"
        rows.append(
            (
                row.system,
                row.boxes,
                *(f"{percent(m)} ({n})" for m, n in zip(cell.table.bins, cell.table.counts, strict=True)),
                f"{percent(cell.table.mean)} ({span(cell.mean_interval)})",
                first,
                percent(cell.table.image_mean),
                percent(row.gte.table.image_mean) if isinstance(row.gte, Cell) else row.gte,
            )
        )
    header = ("aligner", "boxes", *BINS, "mean of bins", "minus first row", "mean of images", "GTE")
    faces = sum(common[0].nme.table.counts)
    notes = ("The interval of the difference is paired: both systems are scored on the same draws of faces.",)
    return Table(
        f"NME on the {faces} faces found by all systems, {n_points} points, original labels, fitted yaw, percent",
        header,
        tuple(rows),
        notes,
    )


def _curves(scores: Sequence[Score]) -> Table:
    rows = []
    limit = 0.0
    for one in scores:
        for labels, curve in one.curves.items():
            head = (one.system.name, one.system.boxes, labels)
            if isinstance(curve, str):
                rows.append((*head, curve, NONE, str(one.missed)))
            else:
                limit = curve.limit
                rows.append((*head, percent(curve.auc), percent(curve.failure_rate), str(one.missed)))
    return Table(
        f"Cumulative errors of NME up to {100 * limit:g} %, {n_points_of(scores)} points, percent",
        ("aligner", "boxes", "labels", "AUC", "failure rate", "faces missed"),
        tuple(rows),
        (f"Failure: an error of {100 * limit:g} % or more, or a missed face.",),
    )


def _regions(scores: Sequence[Score]) -> Table:
    rows = []
    for one in scores:
        for labels, regions in one.regions.items():
            if isinstance(regions, str):
                rows.append((one.system.name, one.system.boxes, labels, regions, *[NONE] * 5))
                continue
            rows += [
                (
                    one.system.name,
                    one.system.boxes,
                    labels,
                    name,
                    *map(percent, table.bins),
                    percent(table.mean),
                    percent(table.image_mean),
                )
                for name, table in regions.items()
            ]
    return Table(
        "NME of parts of the face, fitted yaw, percent",
        ("aligner", "boxes", "labels", "part", *BINS, "mean of bins", "mean of images"),
        tuple(rows),
        ("Distances of the part's landmarks over sqrt(w·h) of the whole face's box. Right and left are the person's.",),
    )


def _pose(scores: Sequence[Score]) -> Table:
    rows = []
    notes: tuple[str, ...] = ()
    for one in scores:
        if isinstance(one.pose, str):
            rows.append((one.system.name, one.system.boxes, one.pose, *[NONE] * 6))
            continue
        parts: Iterable[tuple[str, PoseError]] = (
            ("true landmarks", one.pose.to_landmarks),
            ("true landmarks, angles in the order zyx", one.pose.to_landmarks_zyx),
            ("Pose_Para, raw", one.pose.to_pose_para),
            ("Pose_Para, raw, angles within ±99° only", one.pose.to_pose_para_usual),
            ("Pose_Para, offset removed", one.pose.to_pose_para_zeroed),
            ("Pose_Para, offset removed, angles within ±99° only", one.pose.to_pose_para_zeroed_usual),
            ("Pose_Para, offset removed, true landmarks as predictions", one.pose.labels_to_pose_para_zeroed),
        )
        for name, e in parts:
            figures = (e.yaw, e.pitch, e.roll, e.mae, e.rotation)
            rows.append((one.system.name, one.system.boxes, name, str(e.faces), *(f"{v:.2f}" for v in figures)))
        yaw, pitch, roll = one.pose.zero_deg
        notes = (
            "Against true landmarks: angles as in docs/coordinates.md. Against Pose_Para: its own angles.",
            "Offset: the constant rotation between our pose of the true landmarks and Pose_Para, which define zero "
            "pitch differently. It is estimated from the labels alone: "
            f"yaw {yaw:+.1f}°, pitch {pitch:+.1f}°, roll {roll:+.1f}°.",
        )
    beside = published.AFLW2000_POSE_MAE_DEG if n_points_of(scores) == PUBLISHED_POINTS else {}
    rows += [(name, "published", "Pose_Para", *[NONE] * 4, f"{mae:.2f}", NONE) for name, mae in beside.items()]
    header = ("aligner", "boxes", "against", "faces", "yaw", "pitch", "roll", "mean of the three", "rotation")
    return Table("Head pose, mean absolute error, degrees", header, tuple(rows), notes)
