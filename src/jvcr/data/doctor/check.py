"""The data check: finds faults in a set of labelled faces, in single samples and across them.

    report = check(TableSource(folder))
    report = check(SampleSource({"train": train, "val": val}))

One pass over the images, which are not kept; then all landmarks are checked together. No finding stops the check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jvcr.data.doctor.duplicates import SAME, Fingerprints, belongs
from jvcr.data.doctor.entries import Entry, Source
from jvcr.data.doctor.report import Case, Counts, Report, findings_of, tally
from jvcr.data.doctor.shapes import judge_shapes
from jvcr.data.labels import (
    OPENINGS,
    VISIBILITIES,
    broken_landmarks,
    duplicate_fault,
    extent_fault,
    landmarks_fault,
    openings_fault,
    visibility_fault,
    weight_fault,
)
from jvcr.frames import Box, Crop, borders, crop_to_unit
from jvcr.geometry import HeadPose
from jvcr.images import Image
from jvcr.markups.markup import Markup

HAND_MARKS_APART = 0.10
"""Limit of the median distance between hand marks and landmarks, in face sizes."""
TINY_PX = 32.0
"""Limit of the longer side of the landmark box. The small network's input shows a face of 80 px."""
SPECK_PX = 4.0
"""Below this, the coordinates are probably not pixels."""
SPLITS = ("train", "val", "test")
BLANK_STD = 2.0
"""Standard deviation of the grey levels below which an image has no content."""
_UNIT_PX = 256
YAW_BINS: tuple[tuple[str, float], ...] = (("0-30", 30.0), ("30-60", 60.0), ("60-90", np.inf))


class SecondOpinion(Protocol):
    """Findings of a trained network (``opinion.ModelOpinion``)."""

    def add(self, entry: Entry, box: Box) -> None:
        """Take in an image and its label."""
        ...

    def cases(self) -> list[Case]:
        """Faults, after all images were added."""
        ...


@dataclass
class _Kept:
    """Data kept of each sample, by position. Images are not kept."""

    entries: list[Entry] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    boxes: list[Box | None] = field(default_factory=list)


def check(
    source: Source,
    *,
    duplicates: bool = True,
    against: Source | None = None,
    opinion: SecondOpinion | None = None,
    progress: Callable[[Iterable[Entry]], Iterable[Entry]] = iter,
) -> Report:
    """Check a data set.

    Args:
        duplicates: compare the images; quadratic in their number (20,000 take a minute).
        against: another data set (a benchmark, for example) that must not share photos with this one. Only its images
            are used.
        opinion: compare the labels with a trained network.
        progress: wraps the entries, for a progress bar.
    Returns:
        Findings, errors first; scripts use ``Report.exit_code``.
    """
    kept = _Kept()
    cases: list[Case] = []
    prints = Fingerprints()
    for entry in progress(source.entries()):
        cases += _examine(entry, kept)
        box = kept.boxes[-1]
        if entry.image is None:
            continue
        if duplicates:
            prints.add(entry.row, entry.image, box, f"{entry.split}\n{entry.group}" if entry.group else "")
        if opinion is not None and box is not None and belongs(box, entry.image):
            opinion.add(entry, box)
        kept.entries[-1] = replace(entry, image=None)
    cases += source.cases
    if not kept.entries:
        return Report(source.title, _counts(kept, []), findings_of([*cases, Case("empty-set", source.title)]))
    by_row = {entry.row: entry for entry in kept.entries}
    cases += _identity(kept.entries)
    shapes, yaw_deg = _shapes(kept.entries, {case.row for case in cases if case.code in _SPOILED})
    cases += shapes
    if duplicates:
        cases += _duplicates(prints, by_row, against, progress)
    if opinion is not None:
        cases += opinion.cases()
    order = sorted(range(len(kept.entries)), key=lambda i: kept.entries[i].row)
    return Report(
        title=source.title,
        counts=_counts(kept, yaw_deg),
        findings=findings_of(cases),
        sources=tuple(kept.entries[i].source for i in order),
        yaw_deg=tuple(yaw_deg[i] for i in order),
    )


_SPOILED = {"not-finite", "no-landmarks", "empty-box", "flat-depth", "point-outside-volume"}
"""Labels with these faults are excluded from the checks of shape."""


def _examine(entry: Entry, kept: _Kept) -> list[Case]:
    """Checks of a single sample."""
    image = entry.image
    cases = [entry.problem] if entry.problem else []
    size = "none"
    if image is not None:
        height, width = image.shape[:2]
        size = f"{width}×{height}"
        if image[::2, ::2].std(axis=(0, 1)).max() < BLANK_STD:
            cases.append(_case(entry, "blank-image", f"standard deviation {image.std():.1f} of 255"))
    if not (0 <= entry.weight <= 1) or (entry.strict and entry.weight == 0):
        cases.append(_case(entry, "weight-out-of-range", _detail(entry, weight_fault(entry.name, entry.weight))))
    cases += _examine_marks(entry)
    box, found = _examine_points(entry, image)
    kept.entries.append(entry)
    kept.sizes.append(size)
    kept.boxes.append(box)
    return cases + found


def _examine_marks(entry: Entry) -> list[Case]:
    """Openings, visibility and hand marks, if present."""
    cases = []
    if entry.openings and entry.openings not in OPENINGS:
        cases.append(_case(entry, "unknown-openings", _detail(entry, openings_fault(entry.name, entry.openings))))
    if entry.visibility is not None and not np.isin(entry.visibility, VISIBILITIES).all():
        wrong = np.flatnonzero(~np.isin(entry.visibility, VISIBILITIES))
        detail = _detail(entry, visibility_fault(entry.name, entry.visibility[wrong[0]]))
        cases.append(_case(entry, "unknown-visibility", detail, tuple(wrong.tolist())))
    points = entry.points_img
    if entry.hand2d is not None and points.ndim == 2 and entry.hand2d.shape == (len(points), 2):
        apart = np.linalg.norm(entry.hand2d - points[:, :2], axis=1)
        both = np.isfinite(apart)
        if both.any():
            size = float(np.ptp(points[both, :2], axis=0).max())
            share = float(np.median(apart[both])) / max(size, 1e-9)
            if share > HAND_MARKS_APART:
                detail = f"the median distance is {100 * share:.0f} % of the face's size"
                cases.append(_case(entry, "hand-marks-elsewhere", detail, size=share))
    return cases


def _examine_points(entry: Entry, image: Image | None) -> tuple[Box | None, list[Case]]:
    points = entry.points_img
    if points.ndim != 2 or points.shape[1] != 3 or len(points) != entry.markup.n_points:
        detail = f"points have shape {points.shape}; markup {entry.markup.name} expects ({entry.markup.n_points}, 3)"
        return None, [_case(entry, "bad-labels", detail)]
    bad = broken_landmarks(points, entry.strict)
    placed: NDArray[np.bool_] = np.asarray(np.isfinite(points[:, :2]).all(axis=1))
    cases: list[Case] = []
    if bad.any():
        where = np.flatnonzero(bad)
        detail = _detail(entry, landmarks_fault(entry.name, where))
        cases.append(_case(entry, "not-finite", detail, tuple(where.tolist()), float(len(where))))
    elif not placed.any():
        cases.append(_case(entry, "no-landmarks"))
    if not placed.any():
        return None, cases
    try:
        box = Box.around(points[placed])
    except ValueError as error:
        detail = _detail(entry, extent_fault(entry.name)) if entry.file else str(error)
        return None, [*cases, _case(entry, "empty-box", detail)]
    longer = max(box.width, box.height)
    if longer < SPECK_PX:
        cases.append(_case(entry, "speck", f"{longer:.2g} px", size=-longer))
    elif longer < TINY_PX:
        cases.append(_case(entry, "tiny-face", f"{longer:.1f} px", size=-longer))
    if image is not None:
        cases += _outside_image(entry, placed, image)
    if not bad.any():
        cases += _depth(entry, placed, box)
    return box, cases


def _outside_image(entry: Entry, placed: NDArray[np.bool_], image: Image) -> list[Case]:
    height, width = image.shape[:2]
    x, y = entry.points_img[:, 0], entry.points_img[:, 1]
    (left, right), (top, bottom) = borders(width), borders(height)
    beyond = np.maximum.reduce([left - x, x - right, top - y, y - bottom])
    outside = placed & (np.nan_to_num(beyond) > 0)
    if not outside.any():
        return []
    code = "face-outside-image" if outside.sum() > placed.sum() / 2 else "point-outside-image"
    furthest = float(beyond[outside].max())
    detail = f"{outside.sum()} landmarks, by {furthest:.1f} px at most, image {width}×{height}"
    return [_case(entry, code, detail, tuple(np.flatnonzero(outside).tolist()), furthest)]


def _depth(entry: Entry, placed: NDArray[np.bool_], box: Box) -> list[Case]:
    """Depth against the cube of the undisturbed crop; x and y cannot leave it."""
    z = entry.points_img[placed, 2]
    if np.isnan(z).all():
        return []
    if np.ptp(z) == 0:
        return [_case(entry, "flat-depth", f"z = {z[0]:g}")]
    unit = crop_to_unit(Crop.from_box(box, _UNIT_PX).to_crop(entry.points_img), _UNIT_PX)[:, 2]
    outside = placed & ((unit < 0) | (unit > 1))
    if not outside.any():
        return []
    reach = float(np.abs(unit[outside] - 0.5).max())
    detail = f"{outside.sum()} landmarks, z up to {2 * reach:.2f} of half the cube, mean z {z.mean():.1f} px"
    return [_case(entry, "point-outside-volume", detail, tuple(np.flatnonzero(outside).tolist()), reach)]


def _detail(entry: Entry, fault: str) -> str:
    """The message that ``Table`` has for the same fault."""
    return f"{entry.file}: {fault}" if entry.file else fault


def _case(entry: Entry, code: str, detail: str = "", landmarks: tuple[int, ...] = (), size: float = 0.0) -> Case:
    return Case(code, entry.name, detail, entry.row, landmarks, size=size)


def _identity(entries: Sequence[Entry]) -> list[Case]:
    """Unknown splits, duplicate names, groups in several splits."""
    # "" is valid for a data set without splits, but not for a table.
    unknown = Counter(e.split for e in entries if e.split not in SPLITS and (e.split or e.strict))
    cases = [
        Case("unknown-split", repr(split), f"{count} rows", next(e.row for e in entries if e.split == split))
        for split, count in unknown.items()
    ]
    taught = sum(entry.split == "train" and entry.strict for entry in entries)
    if taught and not any(entry.split == "val" for entry in entries):
        cases.append(Case("no-validation-rows", "split", f"{taught} rows are train"))
    rows: dict[str, list[Entry]] = {}
    groups: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        rows.setdefault(entry.name, []).append(entry)
        if entry.group:
            groups.setdefault(entry.group, {}).setdefault(entry.split, []).append(entry.name)
    for name, same in rows.items():
        if len(same) > 1:
            where = ", ".join(str(entry.row) for entry in same[:6])
            file = same[0].file
            detail = f"{file}: {duplicate_fault(name)}; rows {where}" if file else f"rows {where}"
            cases.append(Case("duplicate-id", name, detail, same[0].row, size=len(same)))
    for group, splits in groups.items():
        if len(splits) > 1:
            where = "; ".join(
                f"{split}: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" for split, names in splits.items()
            )
            cases.append(Case("group-across-splits", group, where, size=sum(map(len, splits.values()))))
    if not groups and len({entry.split for entry in entries}) > 1:
        cases.append(Case("no-groups", "group", "whether a person is in two splits could not be checked"))
    return cases


def _shapes(entries: Sequence[Entry], spoiled: set[int | None]) -> tuple[list[Case], list[float]]:
    """Faults of the landmarks, markup by markup, and the yaw of every entry."""
    cases: list[Case] = []
    yaw_deg = [entry.yaw_deg for entry in entries]
    markups: dict[tuple[str, int], tuple[Markup, list[int]]] = {}
    for i, entry in enumerate(entries):
        if entry.row not in spoiled and entry.points_img.shape == (entry.markup.n_points, 3):
            key = entry.markup.name, entry.markup.n_points
            markups.setdefault(key, (entry.markup, []))[1].append(i)
    for markup, where in markups.values():
        shapes = judge_shapes(
            np.array([entries[i].row for i in where]),
            [entries[i].name for i in where],
            np.stack([entries[i].points_img for i in where]),
            markup,
        )
        cases += shapes.cases
        cases += [Case("not-judged", markup.name, reason) for reason in shapes.not_judged]
        for i, rotation in zip(where, shapes.rotation, strict=True):
            if np.isnan(yaw_deg[i]) and np.isfinite(rotation).all():
                yaw_deg[i] = HeadPose.from_rotation(rotation, "zyx").yaw_deg
    return cases, yaw_deg


def _duplicates(
    prints: Fingerprints,
    by_row: dict[int, Entry],
    against: Source | None,
    progress: Callable[[Iterable[Entry]], Iterable[Entry]],
) -> list[Case]:
    strangers: dict[int, Entry] = {}
    if against is not None:
        shift = max(by_row) + 1
        for entry in progress(against.entries()):
            if entry.image is not None:
                seen = entry.points_img[np.isfinite(entry.points_img[:, :2]).all(axis=1)]
                spread = np.ptp(seen[:, :2], axis=0).min() if len(seen) else 0
                strangers[shift + entry.row] = replace(entry, image=None)
                # Its own photos are not to be compared with each other.
                prints.add(shift + entry.row, entry.image, Box.around(seen) if spread > 0 else None, "\nagainst")
    cases = [Case(case.code, f"{against.title}: {case.name}", case.detail) for case in against.cases] if against else []
    for pair in prints.pairs():
        if pair.first in strangers and pair.second in strangers:
            continue
        first, second = (
            by_row[row] if row in by_row else replace(strangers[row], split=against.title if against else "")
            for row in (pair.first, pair.second)
        )
        across = first.split != second.split
        if first.name == second.name and not across:
            continue  # said already: a duplicate id
        if pair.other_face:
            code = "photo-across-splits" if across else ""
        elif pair.similarity >= SAME:
            code = "duplicate-across-splits" if across else "duplicate-in-split"
        else:
            code = "similar-across-splits" if across else ""
        if code:
            how = "identical pixels" if pair.exact else f"similarity {pair.similarity:.3f}"
            how += ", mirrored" if pair.mirrored else ""
            splits = f"{first.split or '-'} / {second.split or '-'}, " if across else ""
            partner = pair.second if pair.second in by_row else None
            cases.append(
                Case(
                    code,
                    f"{first.name} = {second.name}",
                    splits + how,
                    pair.first,
                    partner=partner,
                    size=pair.similarity,
                )
            )
    return cases


def _counts(kept: _Kept, yaw_deg: Sequence[float]) -> Counts:
    entries = kept.entries
    sides = sorted(max(box.width, box.height) for box in kept.boxes if box is not None)
    bins = dict.fromkeys([name for name, _ in YAW_BINS] + ["unknown"], 0)
    for yaw in yaw_deg:
        bins[next((name for name, high in YAW_BINS if abs(yaw) <= high), "unknown")] += 1
    return Counts(
        samples=len(entries),
        splits=tally([entry.split for entry in entries]),
        sources=tally([entry.source for entry in entries]),
        yaw_bins=bins,
        markups=tally([entry.markup.name for entry in entries]),
        groups=len({entry.group for entry in entries if entry.group}),
        image_sizes=tally([size for size in kept.sizes if size != "none"]),
        box_px=(sides[0], sides[len(sides) // 2], sides[-1]) if sides else None,
    )
