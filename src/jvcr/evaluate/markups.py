"""Systems and labels of different markups, brought to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jvcr.data.derive import derived_points
from jvcr.evaluate.scores import System
from jvcr.evaluate.truth import Truth


def in_one_markup(systems: Sequence[System], truth: Truth) -> tuple[list[System], Truth]:
    """The same systems and labels, all with the same landmarks.

    Systems whose landmarks hold those of the labels are scored on these. Where one does not, all must have one markup
    that is made from the labels'; then the labels are converted.

    Raises:
        ValueError: neither is so.
    """
    places = [system.markup.indices_of(truth.markup) for system in systems]
    if all(place is not None for place in places):
        reduced = [
            replace(system, points_img=system.points_img[:, list(place or ())], markup=truth.markup)
            for system, place in zip(systems, places, strict=True)
        ]
        return reduced, truth
    markup = next(system.markup for system, place in zip(systems, places, strict=True) if place is None)
    if any(system.markup != markup for system in systems):
        names = ", ".join(sorted({system.markup.name for system in systems}))
        raise ValueError(f"landmarks of different markups ({names}) cannot be compared; evaluate them one by one")
    labels = [truth.original_img, truth.reannotated_img]
    original, reannotated = (
        points if isinstance(points, str) else derived_points(points, truth.markup, markup) for points in labels
    )
    assert not isinstance(original, str)
    return list(systems), replace(truth, original_img=original, reannotated_img=reannotated, markup=markup)
