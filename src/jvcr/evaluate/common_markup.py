"""Convert systems and labels to a common markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jvcr.data.derive import converted_points
from jvcr.evaluate.aflw2000_truth import Truth
from jvcr.evaluate.systems import System
from jvcr.markups.markup import Markup


def common_markup(systems: Sequence[Markup], labels: Markup) -> Markup:
    """A markup into which the labels and all systems convert: the labels' own, or else the largest of a system.

    Raises:
        ValueError: there is none.
    """
    sources = [labels, *systems]
    for markup in (labels, *sorted(systems, key=lambda markup: -markup.n_points)):
        faces = [np.zeros((1, source.n_points, 2), np.float32) for source in sources]
        if all(converted_points(*pair, markup) is not None for pair in zip(faces, sources, strict=True)):
            return markup
    names = ", ".join(dict.fromkeys(markup.name for markup in systems))
    raise ValueError(
        f"landmarks of {names} and labels of {labels.name} have no markup in common; evaluate them one by one, "
        "or say in a markup file how it is derived from the others ([from], docs/markup.md)"
    )


def in_one_markup(systems: Sequence[System], truth: Truth) -> tuple[list[System], Truth]:
    """Convert systems and labels to their ``common_markup``.

    Raises:
        ValueError: there is none.
    """
    markup = common_markup([system.markup for system in systems], truth.markup)
    converted = [
        replace(system, points_img=_converted(system.points_img, system.markup, markup), markup=markup)
        for system in systems
    ]
    original, reannotated = (
        label if isinstance(label, str) else _converted(label, truth.markup, markup)
        for label in (truth.original_img, truth.reannotated_img)
    )
    assert not isinstance(original, str)
    return converted, replace(truth, original_img=original, reannotated_img=reannotated, markup=markup)


def points_in(system: System, markup: Markup) -> NDArray[np.floating]:
    """(B, N, 2 or 3) the system's landmarks, converted to ``markup``.

    Raises:
        ValueError: they cannot be derived from the system's own.
    """
    points = converted_points(system.points_img.astype(np.float32), system.markup, markup)
    if points is None:
        raise ValueError(
            f"{system.name}: the {markup.n_points} landmarks of {markup.name!r} cannot be made from its "
            f"{system.markup.n_points} ({system.markup.name!r})"
        )
    return points


def _converted(points: NDArray[np.float32], source: Markup, target: Markup) -> NDArray[np.float32]:
    out = converted_points(points, source, target)
    assert out is not None
    return out
