"""One labelled face, whatever data set it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jvcr.frames import Box
from jvcr.images import Image
from jvcr.markups.markup import MARKUP_68, Markup


@dataclass(frozen=True, eq=False)
class Sample:
    """A photo (or a stored crop of one) with its true landmarks.

    Attributes:
        name: unique within its data set.
        image: (H, W, 3) uint8 RGB.
        points_img: (N, 3) float32 pixels of ``image``, x right, y down, z *away* from the camera, z mean 0.
            z is NaN in all N where the labels are 2D; a landmark that is not marked is NaN in all three.
        weight: 0…1, how far to trust the label.
        yaw_deg: of the label, signed as in ``geometry.HeadPose``; NaN where unknown.
        given_box: the data set's own face box, image pixels, whatever it is tight around; None where it has none.
        group: the person or photo; samples of one group must not be on both sides of a split. "" where unknown.
        markup: names the points.
        source: the data set, and part of it, e.g. ``300wlp-ibug``.
        provenance: where the label comes from, for people: file, pixel base, how z was made.
        file: the image file that ``image`` is the whole of; None where it comes from elsewhere.
        split: ``train``, ``val`` or another name, as the data set divides itself; "" where it does not.
        openings: where the gaps between lids and between lips come from: ``hand``, ``mesh``, ``exact`` or ``model``
            (not to be trusted); "" where unknown.
        taught: (N,) which landmarks a network may learn from; None for all.
        hand2d: (N, 2) hand marks in pixels of ``image``, in the hand marks' own markup; NaN where there are none.
        visibility: (N,) int8, 0 visible, 1 hidden by something, 2 hidden by the head itself, -1 unknown.
    """

    name: str
    image: Image
    points_img: NDArray[np.float32]
    weight: float = 1.0
    yaw_deg: float = float("nan")
    given_box: Box | None = None
    group: str = ""
    markup: Markup = field(default=MARKUP_68, repr=False)
    source: str = ""
    provenance: str = ""
    file: Path | None = None
    split: str = ""
    openings: str = ""
    taught: NDArray[np.bool_] | None = field(default=None, repr=False)
    hand2d: NDArray[np.float32] | None = field(default=None, repr=False)
    visibility: NDArray[np.int8] | None = field(default=None, repr=False)

    @property
    def box(self) -> Box:
        """The landmark box: tight around the marked landmarks."""
        return Box.around(self.points_img[np.isfinite(self.points_img[:, :2]).all(axis=1)])

    @property
    def has_depth(self) -> bool:
        """Whether every marked landmark has a z."""
        return bool(np.isfinite(self.points_img[np.isfinite(self.points_img[:, 0]), 2]).all())
