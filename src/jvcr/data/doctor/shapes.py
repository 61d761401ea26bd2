"""Checks of label shape: compare the landmarks with a reference head.

A head is not flat, so no rotation maps it to its mirror image. A label that fits the reference only after a reflection
has left and right swapped, or the wrong sign of z. These two faults give the same shape, seen from the front and from
behind, so the direction of the face tells them apart, except on a profile.

Lengths are in units of the reference: the distance of the outer eye corners, or a data set's own normaliser.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jvcr.data.doctor.report import Case
from jvcr.geometry import mean_head
from jvcr.markups.markup import MARKUP_66, MARKUP_68, Markup

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# The stated extreme values are from the 20,843 labels of the project's own training table; docs/data-check.md.
REFLECTED_RATIO = 0.5
"""A label is reflected if its reflection has a residual below this share of its own. Correct labels: at least 3.7."""
BEHIND = -0.5
"""Cosine between face and camera below which a head is seen from behind (120°). Correct labels: at least -0.13; one
profile of AFLW2000-3D, whose label was fitted too far: -0.40."""
BEHIND_2D = -0.3
"""The same limit for 2D labels (107°). Correct labels: at least -0.15."""
PROFILE = 0.2
"""Absolute cosine below which (78° to 102°) a reflection could be either fault."""
UPSIDE_DOWN = -0.7
"""Limit of the cosine between the head's and the image's downward direction. Correct labels: at least -0.22."""
SWAP_GAP = 0.07
"""Landmarks closer than this on the reference cannot be told apart."""
SWAP_GAIN = 0.7
"""Limit of the share of error that swapping two landmarks removes. Correct labels: at most 0.45."""
OFF_LIMIT = 0.6
"""Limit of a landmark's distance from its fitted position. Correct labels: at most 0.51 (lip of an open mouth)."""
OFF_FLOOR, OFF_MEDIANS, OFF_MIN_SAMPLES = 0.3, 15.0, 100
"""With ``OFF_MIN_SAMPLES`` or more, each landmark's limit is ``OFF_MEDIANS`` times its own median, clamped to
``OFF_FLOOR`` … ``OFF_LIMIT``."""
SHAPE_LIMIT = 0.25
"""Limit of the median distance over the landmarks. Correct labels: at most 0.14."""
OWN_MEAN_MIN_SAMPLES = 8
"""Fewer samples give no reliable mean."""
_CHUNK = 2000


@dataclass(frozen=True, eq=False)
class Fit:
    """The reference, aligned with B labels.

    points: (B, N, 3) image pixels; with 2D labels, z is the reference's.
    scale: (B,) pixels for a unit of the reference. rotation: (B, 3, 3), reference → camera.
    residual: (B, N) units of the reference; NaN for an unmarked landmark. rms: (B,) over the landmarks.
    """

    points: Floats
    scale: Floats
    rotation: Floats
    residual: Floats

    @property
    def rms(self) -> Floats:
        """(B,) root mean square of the residual over the marked landmarks, units of the reference."""
        return np.sqrt(np.nanmean(self.residual**2, axis=1))


def fit_heads(reference: Floats, points_img: Floats, seen: Bools, depth: bool = True, rounds: int = 4) -> Fit:
    """Similarity alignment of ``reference`` (N, 3) with B labels, robust to a few wrong landmarks.

    Args:
        points_img: (B, N, 3); may be non-finite where ``seen`` (B, N) is false.
        depth: whether z is used. Otherwise the pose is that of a scaled orthographic camera.
        rounds: rounds of reweighting; a landmark that is 0.1 units off counts half.
    Each label needs 4 seen landmarks.
    """
    parts = [
        _fit(reference, points_img[start : start + _CHUNK], seen[start : start + _CHUNK], depth, rounds)
        for start in range(0, len(points_img), _CHUNK)
    ]
    return Fit(
        points=np.concatenate([part.points for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
        rotation=np.concatenate([part.rotation for part in parts]),
        residual=np.concatenate([part.residual for part in parts]),
    )


def _fit(reference: Floats, points_img: Floats, seen: Bools, depth: bool, rounds: int) -> Fit:
    axes = 3 if depth else 2
    points = np.where(seen[..., None], points_img, 0.0)[..., :axes]
    weights = seen.astype(np.float64)
    for _ in range(rounds):
        share = weights / weights.sum(axis=1, keepdims=True)
        middle = np.einsum("bn,nc->bc", share, reference)
        target = np.einsum("bn,bnc->bc", share, points)
        x = reference[None] - middle[:, None]
        y = points - target[:, None]
        solve = _turned_3d if depth else _turned_2d
        scale, rotation = solve(x, y, share)
        scale = np.maximum(scale, 1e-9)
        fitted = scale[:, None, None] * (x @ rotation.transpose(0, 2, 1))
        fitted[..., :axes] += target[:, None]
        residual = np.linalg.norm(fitted[..., :axes] - points, axis=2) / scale[:, None]
        weights = seen / (1 + (residual / 0.1) ** 2)
    return Fit(fitted, scale, rotation, np.where(seen, residual, np.nan))


def _turned_3d(x: Floats, y: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Umeyama's solution, as in ``geometry.align``, for many labels at once, with weighted landmarks."""
    u, singular, vt = np.linalg.svd(np.einsum("bn,bni,bnj->bij", share, y, x))
    sign = np.ones_like(singular)
    sign[:, 2] = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    scale = (singular * sign).sum(axis=1) / np.einsum("bn,bni->b", share, x**2)
    return scale, (u * sign[:, None]) @ vt


def _turned_2d(x: Floats, y: Floats, share: Floats) -> tuple[Floats, Floats]:
    """The affine camera that fits best, and the scaled rotation nearest to it."""
    normal = np.einsum("bn,bni,bnj->bij", share, x, x)
    camera = np.einsum("bn,bni,bnj->bij", share, y, x) @ np.linalg.pinv(normal)
    u, singular, vt = np.linalg.svd(camera, full_matrices=False)
    rows = u @ vt
    return singular.mean(axis=1), np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)


@dataclass(frozen=True, eq=False)
class Reference:
    """The shape that labels are compared with.

    shape: (N, 3), zero mean, facing the camera. The unit is the distance of the outer eye corners for the mean head,
        and the normaliser for a data set's own mean.
    absolute: True for the mean head. False for the data set's own mean: faults of the majority are not detected.
    """

    shape: Floats
    absolute: bool


def reference_head(markup: Markup) -> Reference | None:
    """The shipped mean head in a markup: 68 or 66 points under any name, or derived from the 68; else None."""
    for known in (MARKUP_68, MARKUP_66):
        if (markup.n_points, markup.mirror) == (known.n_points, known.mirror):
            markup = known
    head = mean_head(markup)
    return None if head is None else Reference(head - head.mean(axis=0), True)


def own_mean(points_img: Floats, markup: Markup) -> Reference | None:
    """The data set's own mean shape, from complete (B, N, 3) labels; None if they are too few or do not agree.

    Starts from the label closest to most others, so that a minority of wrong labels has no influence.
    """
    size = np.linalg.norm(points_img - points_img.mean(axis=1, keepdims=True), axis=(1, 2))
    points_img = points_img[size > 0]
    if len(points_img) < OWN_MEAN_MIN_SAMPLES or points_img.shape[1] < 4:
        return None
    first, second = markup.normaliser

    def standard(shape: Floats) -> Floats | None:
        length = float(np.linalg.norm(shape[first] - shape[second]))
        return (shape - shape.mean(axis=0)) / length if length > 0 else None

    some = points_img[np.linspace(0, len(points_img) - 1, min(len(points_img), 40)).astype(int)]
    every = np.ones(points_img.shape[:2], np.bool_)
    candidates = [shape for shape in map(standard, some) if shape is not None]
    if not candidates:
        return None
    spreads = [float(np.median(fit_heads(shape, some, every[: len(some)]).rms)) for shape in candidates]
    mean = candidates[int(np.argmin(spreads))]
    for _ in range(3):
        fit = fit_heads(mean, points_img, every)
        good = fit.rms <= 2 * np.median(fit.rms) + 1e-9
        back = (points_img - fit.points.mean(axis=1, keepdims=True)) @ fit.rotation / fit.scale[:, None, None]
        new = standard(back[good].mean(axis=0))
        if new is None:
            return None
        mean = new
    # Face the mean direction of the faces.
    u, _, vt = np.linalg.svd(fit.rotation[good].mean(axis=0))
    turn = (u * [1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return Reference(mean @ turn.T, False)


@dataclass(frozen=True, eq=False)
class Shapes:
    """Results for B labels. ``rotation``: (B, 3, 3), NaN without a pose. ``not_judged``: reasons for skipped checks."""

    cases: list[Case]
    rotation: Floats
    not_judged: list[str]


def judge_shapes(rows: NDArray[np.int_], names: Sequence[str], points_img: Floats, markup: Markup) -> Shapes:
    """Faults in the landmarks of one markup.

    Args:
        rows: (B,) row of each label. names: B names.
        points_img: (B, N, 3); an unmarked landmark is NaN in all three, 2D labels are NaN in z.
    Each label gets only its most specific fault: a reflected label is not also reported as mis-ordered.
    """
    result = Shapes([], np.full((len(rows), 3, 3), np.nan), [])
    seen: Bools = np.isfinite(points_img[..., 0]) & np.isfinite(points_img[..., 1])
    deep = np.asarray(seen.any(axis=1) & (np.isfinite(points_img[..., 2]) | ~seen).all(axis=1))
    reference = reference_head(markup)
    if reference is None:
        whole = np.isfinite(points_img).all(axis=(1, 2))
        reference = own_mean(points_img[whole], markup)
        if reference is None:
            result.not_judged.append(
                f"shape, order, left and right, depth sign of {len(rows)} labels of markup {markup.name}: "
                f"needs {OWN_MEAN_MIN_SAMPLES} complete 3D labels that agree"
            )
            return result
        result.not_judged.append(
            f"markup {markup.name} is compared with its own mean: faults of most labels are not detected"
        )
    if np.linalg.svd(reference.shape, compute_uv=False)[2] < 0.05 * np.linalg.norm(reference.shape):
        result.not_judged.append(f"left and right, depth sign of markup {markup.name}: its points lie in a plane")
        return result
    enough = seen.sum(axis=1) >= max(4, markup.n_points // 2)
    for depth in (True, False):
        part = np.flatnonzero(enough & (deep == depth)).tolist()
        if len(part) and (depth or reference.absolute):
            some = _Batch(rows[part], [names[i] for i in part], points_img[part], seen[part], markup, reference, depth)
            result.cases.extend(some.judge())
            result.rotation[part] = some.fit.rotation
        elif len(part):
            result.not_judged.append(f"{len(part)} 2D labels of markup {markup.name}: no reference head")
    if not enough.all():
        result.not_judged.append(f"shape of {int((~enough).sum())} labels of markup {markup.name}: too few landmarks")
    return result


class _Batch:
    """Labels of one markup, all with depth or all without."""

    def __init__(
        self,
        rows: NDArray[np.int_],
        names: list[str],
        points: Floats,
        seen: Bools,
        markup: Markup,
        reference: Reference,
        depth: bool,
    ) -> None:
        self.rows, self.names, self.points, self.seen = rows, names, points, seen
        self.markup, self.reference, self.depth = markup, reference, depth
        self.mirror = list(markup.mirror)
        self.paired = self.mirror != list(range(markup.n_points))
        self.fit = fit_heads(reference.shape, points, seen, depth)

    def judge(self) -> list[Case]:
        cases = self._turned() if self.depth else self._turned_flat()
        done = {case.row for case in cases}
        cases += [case for case in self._misplaced() if case.row not in done]
        return cases

    def _case(self, code: str, i: int, detail: str, size: float = 0.0, landmarks: tuple[int, ...] = ()) -> Case:
        return Case(code, self.names[i], detail, int(self.rows[i]), landmarks, size=size)

    def _turned(self) -> list[Case]:
        own = self.fit.rms
        negated = fit_heads(self.reference.shape, self.points * (1, 1, -1), self.seen)
        reflected = np.flatnonzero(negated.rms < REFLECTED_RATIO * own)
        ahead = self.fit.rotation[:, 2, 2]
        cases: list[Case] = []
        if len(reflected):
            swapped = fit_heads(self.reference.shape, self.points[:, self.mirror], self.seen[:, self.mirror])
            kinds: dict[int, str] = {}
            for i in reflected.tolist():
                facing = negated.rotation[i, 2, 2]
                if abs(facing) < PROFILE and self.paired:
                    kinds[i] = "reflected"
                elif facing > 0 or not self.paired:
                    kinds[i] = "depth-sign"
                else:
                    kinds[i] = "y-up" if swapped.rotation[i, 1, 1] < UPSIDE_DOWN else "mirrored"
            decided = Counter(kind for kind in kinds.values() if kind != "reflected")
            # Profiles probably have the same fault as frontal faces.
            likely = decided.most_common(1)[0][0] if decided and len(decided) == 1 else "reflected"
            for number, kind in kinds.items():
                detail = f"residual {own[number]:.2f} of the eye distance, {negated.rms[number]:.2f} once reflected"
                cases.append(self._case(likely if kind == "reflected" else kind, number, detail, own[number]))
        for i in np.setdiff1d(np.flatnonzero(ahead < BEHIND), reflected).tolist():
            detail = f"with z as it is, the face looks away from the camera (cosine {ahead[i]:.2f})"
            cases.append(self._case("turned-away", i, detail, -ahead[i]))
        return cases

    def _turned_flat(self) -> list[Case]:
        ahead = self.fit.rotation[:, 2, 2]
        down = self.fit.rotation[:, 1, 1]
        behind: list[int] = np.flatnonzero(ahead < BEHIND_2D).tolist() if self.paired else []
        return [
            self._case(
                "y-up" if down[i] < UPSIDE_DOWN else "mirrored",
                i,
                f"2D labels of a head from behind (cosine {ahead[i]:.2f})",
                -ahead[i],
            )
            for i in behind
        ]

    def _misplaced(self) -> list[Case]:
        cases: list[Case] = []
        residual = self.fit.residual
        limits = np.full(self.markup.n_points, OFF_LIMIT)
        if len(residual) >= OFF_MIN_SAMPLES:
            with np.errstate(all="ignore"):
                limits = np.clip(OFF_MEDIANS * np.nanmedian(residual, axis=0), OFF_FLOOR, OFF_LIMIT)
        swaps = self._swaps()
        middle = np.nanmedian(residual, axis=1)
        down = self.fit.rotation[:, 1, 1]
        for i in range(len(residual)):
            if middle[i] > SHAPE_LIMIT:
                detail = f"half of the landmarks are over {middle[i]:.2f} of the eye distance from those of a head"
                cases.append(self._case("shape-off", i, detail, middle[i]))
                continue
            if i in swaps:
                pairs, gain = swaps[i]
                text = ", ".join(f"{a} and {b}" for a, b in pairs[:4]) + (" …" if len(pairs) > 4 else "")
                flat = tuple(sorted({landmark for pair in pairs for landmark in pair}))
                cases.append(self._case("mis-ordered", i, f"landmarks {text}", gain, flat))
                continue
            off = np.flatnonzero(np.nan_to_num(residual[i]) > limits)
            if len(off):
                worst = int(off[np.argmax(residual[i, off])]) if len(off) else 0
                detail = f"landmark {worst} by {residual[i, worst]:.2f} of the eye distance"
                detail += f" and {len(off) - 1} more" if len(off) > 1 else ""
                cases.append(self._case("point-off", i, detail, float(residual[i, worst]), tuple(off.tolist())))
            if down[i] < UPSIDE_DOWN:
                cases.append(self._case("upside-down", i, "", -down[i]))
        return cases

    def _swaps(self) -> dict[int, tuple[list[tuple[int, int]], float]]:
        """Label → pairs of swapped landmarks, and the largest gain."""
        first, second = np.triu_indices(self.markup.n_points, 1)
        gap = np.linalg.norm(self.reference.shape[first] - self.reference.shape[second], axis=1)
        far = gap >= SWAP_GAP
        first, second, gap = first[far], second[far], gap[far]
        axes = 3 if self.depth else 2
        found: dict[int, tuple[list[tuple[int, int]], float]] = {}
        # A swap moves both landmarks by the gap, so labels with small residuals are skipped.
        suspects = np.flatnonzero((np.nan_to_num(self.fit.residual) > SWAP_GAIN * SWAP_GAP).sum(axis=1) >= 2)
        for start in range(0, len(suspects), 200):
            some = suspects[start : start + 200]
            scale = self.fit.scale[some, None, None]
            labels = np.where(self.seen[some][..., None], self.points[some], np.inf)[..., :axes] / scale
            places = self.fit.points[some][..., :axes] / scale
            with np.errstate(invalid="ignore"):
                distance = np.linalg.norm(labels[:, :, None] - places[:, None], axis=3)
                own = np.diagonal(distance, axis1=1, axis2=2)
                before = own[:, first] + own[:, second]
                # The gap in the label: in 2D, landmarks behind each other cannot be told apart.
                shown = np.linalg.norm(places[:, first] - places[:, second], axis=2)
                gain = (before - distance[:, first, second] - distance[:, second, first]) / (2 * gap)
                gain[~np.isfinite(gain) | (shown < SWAP_GAP)] = -1
            for k in np.flatnonzero((gain > SWAP_GAIN).any(axis=1)):
                best = np.argsort(-gain[k])
                best = best[gain[k, best] > SWAP_GAIN]
                used: set[int] = set()
                pairs: list[tuple[int, int]] = []
                for pair in best:
                    a, b = int(first[pair]), int(second[pair])
                    if not {a, b} & used:
                        used |= {a, b}
                        pairs.append((a, b))
                found[int(some[k])] = (pairs, float(gain[k, best[0]]))
        return found
