"""Systems and labels of different markups, brought to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jvcr.data.derive import converted_points
from jvcr.evaluate.scores import System
from jvcr.evaluate.truth import Truth
from jvcr.markup import Markup


def in_one_markup(systems: Sequence[System], truth: Truth) -> tuple[list[System], Truth]:
    """The same systems and labels, all with the same landmarks: those of the truth that is returned (``markup``).

    They are those of the labels, or else of the system with the most landmarks, into which the labels and every system
    can be converted.

    Raises:
        ValueError: there is no such markup.
    """
    candidates = [truth.markup, *sorted((s.markup for s in systems), key=lambda markup: -markup.n_points)]
    for markup in candidates:
        points = [converted_points(system.points_img, system.markup, markup) for system in systems]
        original = converted_points(truth.original_img, truth.markup, markup)
        if original is None or any(these is None for these in points):
            continue
        converted = [
            replace(system, points_img=these, markup=markup)
            for system, these in zip(systems, points, strict=True)
            if these is not None
        ]
        return converted, replace(
            truth, original_img=original, reannotated_img=_converted(truth, markup), markup=markup
        )
    names = ", ".join(dict.fromkeys(system.markup.name for system in systems))
    raise ValueError(
        f"landmarks of {names} and labels of {truth.markup.name} have no markup in common; evaluate them one by one, "
        "or say in a markup file how it is made from the others ([from], docs/markup.md)"
    )


def _converted(truth: Truth, markup: Markup) -> NDArray[np.float32] | str:
    if isinstance(truth.reannotated_img, str):
        return truth.reannotated_img
    points = converted_points(truth.reannotated_img, truth.markup, markup)
    assert points is not None
    return points
