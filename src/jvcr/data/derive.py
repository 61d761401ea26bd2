"""Convert labels to another markup that is derived from theirs, so that one table can train several markups."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.markups.markup import Derivation, Markup


def derived_points(points: NDArray[np.float32], source: Markup, target: Markup) -> NDArray[np.float32]:
    """(…, M, K) points of ``source`` → (…, N, K) of ``target``, K = 2 or 3; in 3D with the mean of z at 0.

    NaN landmarks give NaN.

    Raises:
        ValueError: ``target`` has no derivation from ``source``, or ``source`` does not have M points.
    """
    if points.shape[-2] != source.n_points:
        raise ValueError(f"expected the {source.n_points} points of markup {source.name!r}, got shape {points.shape}")
    return _applied(target.derivation_from(source), points)


def _applied(derivation: Derivation, points: NDArray[np.float32]) -> NDArray[np.float32]:
    out = derivation.apply(points)
    if out.shape[-1] == 3:
        known = np.isfinite(out[..., 2])
        total = np.where(known, out[..., 2], 0).sum(axis=-1, keepdims=True)
        out[..., 2] -= total / np.maximum(known.sum(axis=-1, keepdims=True), 1)
    return out


def converted_points(points: NDArray[np.float32], source: Markup, target: Markup) -> NDArray[np.float32] | None:
    """(…, M, K) points of ``source`` → (…, N, K) of ``target``, which is a subset of it or derived from it; else None.

    If both are derived from a third markup, the points are also converted, provided that ``source`` has every landmark
    that ``target`` needs.

    Example: 66 points are derived from 68, 68 are a subset of 71, and 21 are derived from those of the 68 that the 66
    include.
    """
    places = source.indices_of(target)
    if places is not None:
        return points[..., list(places), :]
    if source.name in target.derivations:
        return derived_points(points, source, target)
    for third in source.derivations.keys() & target.derivations.keys():
        place_of = {terms[0][0]: n for n, terms in enumerate(source.derivations[third].terms) if len(terms) == 1}
        sums = target.derivations[third].terms
        if all(index in place_of for terms in sums for index, _ in terms):
            return _applied(
                Derivation(tuple(tuple((place_of[index], weight) for index, weight in terms) for terms in sums)), points
            )
    return None


def derived(table: Table, markup: Markup) -> Table:
    """The same images and rows with the points of ``markup``; yaw is unchanged.

    The images are shared, not copied. A table without a stored markup is assumed to have ``markup`` if the number of
    points is the same.

    Raises:
        ValueError: ``markup`` has no derivation from the table's.
    """
    source = table.known_markup
    if source is None:
        if table.points.shape[1] != markup.n_points:
            raise ValueError(
                f"the table has {table.points.shape[1]} points and does not name its markup; "
                f"markup {markup.name!r} has {markup.n_points}"
            )
        source = markup
    out = copy.copy(table)
    derivation = markup.derivation_from(source)
    out.points = derived_points(table.points, source, markup)
    out.known_markup = markup
    # A mean of several landmarks (the middle of two lids, for example) is right even if the opening is wrong.
    out.taught = np.stack(
        [table.taught[:, [i for i, _ in terms]].any(axis=1) | (len(terms) > 1) for terms in derivation.terms], axis=1
    )
    out.hand2d = derivation.apply(table.hand2d)
    # A derived landmark is as visible as its least visible part; -1 is unknown.
    parts = [table.visibility[:, [i for i, _ in terms]] for terms in derivation.terms]
    out.visibility = np.stack([np.where(part.min(axis=1) < 0, -1, part.max(axis=1)) for part in parts], axis=1)
    return out


def boxed_samples(samples: Iterable[Sample], markup: Markup) -> Iterator[Sample]:
    """Samples converted to the markup of the weights, so that their box is the one that training crops around.

    Samples that cannot be converted (68-point weights, 66-point labels) stay as they are.
    """
    for sample in samples:
        points = converted_points(sample.points_img, sample.markup, markup)
        yield sample if points is None else replace(sample, points_img=points, markup=markup)
