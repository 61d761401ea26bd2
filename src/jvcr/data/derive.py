"""Labels of one markup → labels of another that is made from it, so that one table trains any of them."""

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

    What comes from a landmark that is NaN is NaN.

    Raises:
        ValueError: ``target`` does not say how it is made from ``source``, or M is not ``source``'s.
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
    """(…, M, K) points of ``source`` → (…, N, K) of ``target``, which is part of it or made from it; else None.

    Two markups that are both made from a third are converted, too, where ``source`` has every landmark that ``target``
    is made from.

    Example: the 66 points are made from the 68, the 68 are part of the 71, and the 21 are made from those of the 68
    that are among the 66.
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
    """A table with the same images and rows whose points are those of ``markup``; yaw stays that of the table.

    The images are shared, not copied. A table that does not say its markup is taken to be of this one if it has as
    many points.

    Raises:
        ValueError: ``markup`` does not say how it is made from the table's.
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
    # A sum of several landmarks, the middle of two lids say, is right where the gap between them is not.
    out.taught = np.stack(
        [table.taught[:, [i for i, _ in terms]].any(axis=1) | (len(terms) > 1) for terms in derivation.terms], axis=1
    )
    out.hand2d = derivation.apply(table.hand2d)
    # Of what a landmark is made from, the least visible part decides; -1 is unknown.
    parts = [table.visibility[:, [i for i, _ in terms]] for terms in derivation.terms]
    out.visibility = np.stack([np.where(part.min(axis=1) < 0, -1, part.max(axis=1)) for part in parts], axis=1)
    return out


def boxed_samples(samples: Iterable[Sample], markup: Markup) -> Iterator[Sample]:
    """The samples for weights of this markup: with its points, and so in the box that training crops around.

    Where the labels do not give these points (weights of 68, labels of 66), a sample stays as it is.
    """
    for sample in samples:
        points = converted_points(sample.points_img, sample.markup, markup)
        yield sample if points is None else replace(sample, points_img=points, markup=markup)
