"""Systems and labels of different markups, brought to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jvcr.data.derive import converted_points, derived_points
from jvcr.evaluate.scores import System
from jvcr.evaluate.truth import Truth


def in_one_markup(systems: Sequence[System], truth: Truth) -> tuple[list[System], Truth]:
    """The same systems and labels, all with the same landmarks.

    Systems whose landmarks hold those of the labels, or from which those are made, are scored on these. Where one does
    not, all must have one markup that is made from the labels'; then the labels are converted.

    Raises:
        ValueError: neither is so.
    """
    points = [converted_points(system.points_img, system.markup, truth.markup) for system in systems]
    reduced = [
        replace(system, points_img=these, markup=truth.markup)
        for system, these in zip(systems, points, strict=True)
        if these is not None
    ]
    if len(reduced) == len(systems):
        return reduced, truth
    markup = next(system.markup for system, these in zip(systems, points, strict=True) if these is None)
    if any(system.markup != markup for system in systems):
        names = ", ".join(sorted({system.markup.name for system in systems}))
        raise ValueError(f"landmarks of different markups ({names}) cannot be compared; evaluate them one by one")
    labels = [truth.original_img, truth.reannotated_img]
    original, reannotated = (
        label if isinstance(label, str) else derived_points(label, truth.markup, markup) for label in labels
    )
    assert not isinstance(original, str)
    return list(systems), replace(truth, original_img=original, reannotated_img=reannotated, markup=markup)
