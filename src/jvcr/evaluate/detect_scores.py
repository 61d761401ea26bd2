"""Face detection: scores of a detector, alone or with the landmark network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jvcr.data.face_photos import FacePhoto, turned_box
from jvcr.draw.landmarks import draw_boxes
from jvcr.evaluate.benchmark import BINS, Progress, no_progress
from jvcr.evaluate.cuts import CUTS, cut_photo
from jvcr.evaluate.matching import Judged, extra_results, judge
from jvcr.extras import import_figure
from jvcr.frames import Crop, middle_of
from jvcr.images import Image, extract
from jvcr.report import Table, percent

ROLLS_DEG = (15, 30, 45, 60, 90, 180)
SIZE_EDGES_PX = (0, 12, 16, 24, 48, 96, math.inf)
_SCORE_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0001)

Finder = Callable[[Image], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Image → boxes (n, 4) and scores (n,), including low-scoring detections."""


@dataclass(frozen=True)
class Slice:
    """A subset of ``count`` faces (or detections). ``share`` is the recall (or precision) on it."""

    label: str
    count: int
    share: float


@dataclass(frozen=True)
class CutScores:
    """Scores on ``count`` photographs whose face is cut off in one way (``jvcr.evaluate.cuts``).

    Attributes:
        found: share of faces found.
        extra: false positives on the face, such as an upside-down face on the forehead.
    """

    label: str
    count: int
    found: float
    extra: int


@dataclass(frozen=True)
class DetectionScores:
    """All scores at the default ``threshold``. ``jvcr.evaluate.matching`` defines a hit.

    Attributes:
        recall: on the sure faces. precision: of the detections in fully labelled photographs.
        average_precision: area under the precision–recall curve.
        false_on_empty: false positives in the ``empty_photos`` photographs without a face.
        by_yaw, by_size, by_roll: recall. Size is the longer side of the box if the photo's longer side is 320 px. Roll
            is the rotation applied to all photographs.
        by_cut: scores on the photographs with their largest face cut off by the frame.
        extra: duplicate detections: results on faces of whole photographs that are not their hits.
        reliability: precision of the detections in each score range.
        curve: (score, precision, recall), from the highest score down.
    """

    name: str
    threshold: float
    photos: int
    faces: int
    recall: float
    precision: float
    average_precision: float
    empty_photos: int
    false_on_empty: int
    by_yaw: list[Slice]
    by_size: list[Slice]
    by_roll: list[Slice]
    by_cut: list[CutScores]
    extra: int
    reliability: list[Slice]
    curve: list[tuple[float, float, float]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, except for NaN where there is nothing to measure."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Scores, and the detections of each photo for drawing."""

    scores: DetectionScores
    photos: Sequence[FacePhoto]
    found: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
    judged: Sequence[Judged]


def evaluate_detection(
    name: str,
    find: Finder,
    photos: Sequence[FacePhoto],
    threshold: float,
    complete: bool = True,
    rolls_deg: Sequence[float] = ROLLS_DEG,
    progress: Progress = no_progress,
) -> Evaluated:
    """Detect faces in all photographs: as they are, rotated both ways, and with the face cut off by the frame.

    Args:
        complete: all faces of the photographs are labelled. If not, detections that match no label are ignored.
        progress: called with ``name`` after each pass over a photo (``jvcr.evaluate.benchmark.Progress``).
    """
    crowded = [p for p in photos if p.sure.any()]
    turns_deg = [sign * degrees for degrees in rolls_deg for sign in ((1,) if degrees == 180 else (1, -1))]
    cut_photos = {cut.label: [c for p in crowded if (c := cut_photo(p, cut)) is not None] for cut in CUTS}
    total = len(photos) + len(crowded) * len(turns_deg) + sum(map(len, cut_photos.values()))
    looks = itertools.count(1)
    progress(name, 0, total)
    found, judged = [], []
    for photo in photos:
        found.append(find(photo.image))
        judged.append(_judged(photo, *found[-1], complete))
        progress(name, next(looks), total)
    whole = Judged.joined(judged)
    yaw = np.abs(np.concatenate([p.yaw_deg[p.sure] for p in photos]))
    size = np.concatenate([_sizes(p)[p.sure] for p in photos])
    turned = [Slice("0°", len(whole.truth_scores), whole.recall(threshold))]
    for degrees in rolls_deg:
        parts = []
        for photo in crowded:
            for turn_deg in (turn for turn in turns_deg if abs(turn) == degrees):
                other = turned_photo(photo, turn_deg)
                parts.append(_judged(other, *find(other.image), complete))
                progress(name, next(looks), total)
        both = Judged.joined(parts)
        turned.append(
            Slice(f"{'' if degrees == 180 else '±'}{degrees:g}°", len(both.truth_scores), both.recall(threshold))
        )
    by_cut = []
    for label, cut in cut_photos.items():
        hits = extra = 0
        for photo in cut:
            boxes, scores = _believed(find(photo.image), threshold)
            hits += bool(judge(boxes, scores, photo.boxes, photo.sure).hits.any())
            extra += extra_results(boxes, scores, photo.boxes, photo.sure)
            progress(name, next(looks), total)
        by_cut.append(CutScores(label, len(cut), hits / len(cut) if cut else math.nan, extra))
    empty = [j for p, j in zip(photos, judged, strict=True) if p.surely_empty]
    precision, recall, score = whole.precision_recall()
    believed = whole.scores >= threshold
    result = DetectionScores(
        name=name,
        threshold=threshold,
        photos=len(photos),
        faces=len(whole.truth_scores),
        recall=whole.recall(threshold),
        precision=float(whole.hits[believed].mean()) if believed.any() else math.nan,
        average_precision=whole.average_precision(),
        empty_photos=len(empty),
        false_on_empty=int(sum((j.scores >= threshold).sum() for j in empty)),
        by_yaw=_yaw_shares(whole.truth_scores >= threshold, yaw),
        by_size=_shares(whole.truth_scores >= threshold, size, SIZE_EDGES_PX, " px"),
        by_roll=turned,
        by_cut=by_cut,
        extra=sum(extra_results(*_believed(f, threshold), p.boxes, p.sure) for f, p in zip(found, photos, strict=True)),
        reliability=_shares(whole.hits, whole.scores, _SCORE_EDGES, ""),
        curve=list(zip(score.tolist(), precision.tolist(), recall.tolist(), strict=True)),
    )
    return Evaluated(result, photos, found, judged)


def _believed(
    found: tuple[NDArray[np.float64], NDArray[np.float64]], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes and scores at or above the threshold."""
    boxes, scores = found
    return boxes[scores >= threshold], scores[scores >= threshold]


def turned_photo(photo: FacePhoto, degrees: float) -> FacePhoto:
    """The whole photograph, rotated clockwise about its centre, in a square padded by edge replication."""
    height, width = photo.image.shape[:2]
    side = math.ceil(math.hypot(width, height))
    crop = Crop(middle_of(width), middle_of(height), side, side, degrees)
    image = extract(photo.image, crop, cv2.BORDER_REPLICATE)
    boxes = np.array([turned_box(box, crop) for box in photo.boxes]).reshape(-1, 4)
    return FacePhoto(photo.name, image, boxes, photo.sure, photo.yaw_deg)


def detection_table(scores: Sequence[DetectionScores]) -> Table:
    """A table with one column per finder, in percent."""
    rows: list[tuple[str, ...]] = [
        ("recall, all faces", *(f"{percent(s.recall)} of {s.faces}" for s in scores)),
        ("precision", *(percent(s.precision) for s in scores)),
        ("average precision", *(percent(s.average_precision) for s in scores)),
        (
            "false positives on photos without a face",
            *(f"{s.false_on_empty} in {s.empty_photos} photos" for s in scores),
        ),
        ("extra results on a face that was found", *(str(s.extra) for s in scores)),
    ]
    for title, kind in (("recall, yaw", "by_yaw"), ("recall, size", "by_size"), ("recall, rotated by", "by_roll")):
        for row, share in enumerate(getattr(scores[0], kind)):
            cells = [getattr(s, kind)[row] for s in scores]
            rows.append((f"{title} {share.label} ({share.count})", *(percent(c.share) for c in cells)))
    for row, cut in enumerate(scores[0].by_cut):
        cuts = [s.by_cut[row] for s in scores]
        rows.append((f"face {cut.label} ({cut.count}): found", *(percent(c.found) for c in cuts)))
        rows.append((f"face {cut.label} ({cut.count}): extra results on it", *(str(c.extra) for c in cuts)))
    for row, share in enumerate(scores[0].reliability):
        cells = [s.reliability[row] for s in scores]
        rows.append((f"precision, scores {share.label}", *(f"{percent(c.share)} of {c.count}" for c in cells)))
    header = ("", *(f"{s.name}, score from {s.threshold:g}" for s in scores))
    return Table(
        f"Face detection on {scores[0].photos} photos, percent",
        header,
        tuple(rows),
        (
            "A hit has an IoU of at least 0.4 with the true landmark box. Size: longer side of the box if the "
            "photo's longer side is 320 px. Cut faces: the largest face of each photo, cut off by the frame.",
        ),
    )


def worst_sheet(evaluated: Evaluated, most: int) -> Image | None:
    """A sheet of photographs with errors: missed faces, largest first, then false positives, highest score first.

    True boxes are green, detections yellow. None if there were no errors.
    """
    threshold = evaluated.scores.threshold
    misses: list[tuple[float, int]] = []
    false: list[tuple[float, int]] = []
    for index, (photo, judged) in enumerate(zip(evaluated.photos, evaluated.judged, strict=True)):
        missed = judged.truth_scores < threshold
        if missed.any():
            misses.append((float(_sizes(photo)[photo.sure][missed].max()), index))
        wrong = judged.scores[~judged.hits]
        if wrong.size and wrong.max() >= threshold:
            false.append((float(wrong.max()), index))
    half = max(most // 2, most - len(false))
    chosen = [index for _, index in sorted(misses, reverse=True)][:half]
    chosen += [index for _, index in sorted(false, reverse=True) if index not in chosen][: most - len(chosen)]
    tiles = []
    for index in chosen:
        photo, (boxes, scores) = evaluated.photos[index], evaluated.found[index]
        drawn = draw_boxes(photo.image, photo.boxes[photo.sure], boxes[scores >= threshold])
        scale = _TILE / max(drawn.shape[:2])
        small = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tile = np.zeros((_TILE, _TILE, 3), np.uint8)
        tile[: small.shape[0], : small.shape[1]] = small[:_TILE, :_TILE]
        tiles.append(tile)
    if not tiles:
        return None
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _ACROSS)
    return np.concatenate([np.concatenate(tiles[k : k + _ACROSS], axis=1) for k in range(0, len(tiles), _ACROSS)])


_TILE, _ACROSS = 240, 6


def _judged(photo: FacePhoto, boxes: NDArray[np.float64], scores: NDArray[np.float64], complete: bool) -> Judged:
    result = judge(boxes, scores, photo.boxes, photo.sure)
    return result if complete else Judged(result.scores[result.hits], result.hits[result.hits], result.truth_scores)


def _sizes(photo: FacePhoto) -> NDArray[np.float64]:
    return (photo.boxes[:, 2:] - photo.boxes[:, :2]).max(axis=1, initial=0) * 320 / max(photo.image.shape[:2])


def _yaw_shares(right: NDArray[np.bool_], yaw_deg: NDArray[np.float64]) -> list[Slice]:
    """Shares by the yaw bins of NME. The last bin includes angles beyond 90°."""
    bins = (yaw_deg <= 30, (yaw_deg > 30) & (yaw_deg <= 60), yaw_deg > 60)
    return [
        Slice(label, int(inside.sum()), float(right[inside].mean()) if inside.any() else math.nan)
        for label, inside in zip(BINS, bins, strict=True)
    ]


def _shares(right: NDArray[np.bool_], values: NDArray[np.float64], edges: Sequence[float], unit: str) -> list[Slice]:
    shares = []
    for low, high in itertools.pairwise(edges):
        inside = (values >= low) & (values < high)
        label = f"{low:g}{unit} or more" if math.isinf(high) else f"{low:g} to {round(high, 3):g}{unit}"
        shares.append(Slice(label, int(inside.sum()), float(right[inside].mean()) if inside.any() else math.nan))
    return shares


def plots(scores: DetectionScores) -> Any:
    """A matplotlib figure: the precision–recall curve, and a reliability diagram of the score.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    figure = import_figure()(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    curve = np.array(scores.curve).reshape(-1, 3)
    left.plot(100 * curve[:, 2], 100 * curve[:, 1])
    left.plot([100 * scores.recall], [100 * scores.precision], "o", label=f"score {scores.threshold:g}")
    left.set(xlabel="recall, %", ylabel="precision, %", xlim=(50, 100), ylim=(50, 101), title=scores.name)
    left.legend(loc="lower left")
    right.plot([0, 100], [0, 100], "--", color="grey")
    kept = [(share, edges) for share, edges in zip(scores.reliability, _middles(), strict=True) if share.count]
    right.plot([100 * middle for _, middle in kept], [100 * share.share for share, _ in kept], "o-")
    for share, middle in kept:
        right.annotate(
            str(share.count), (100 * middle, 100 * share.share), fontsize=8, xytext=(4, -10), textcoords="offset points"
        )
    right.set(xlabel="score, %", ylabel="precision, %", title="reliability (numbers: detections)")
    return figure


def _middles() -> list[float]:
    return [(low + high) / 2 for low, high in itertools.pairwise(_SCORE_EDGES)]
