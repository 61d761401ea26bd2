"""One labelled face from any data set."""

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
            For 2D labels, z is NaN in all N; an unmarked landmark is NaN in all three.
        weight: 0…1, confidence in the label.
        yaw_deg: yaw of the label, signed as in ``geometry.HeadPose``, in the order "zyx" if it is computed here;
            NaN if unknown.
        given_box: the data set's own bounding box of the face, image pixels; None if it has none.
        group: the person or photo; samples of one group must be in the same split. "" if unknown.
        markup: names the points.
        source: the data set and subset, e.g. ``300wlp-ibug``.
        provenance: readable origin of the label: file, pixel base, how z was computed.
        file: the file that contains exactly ``image``; None if there is none.
        split: the data set's own split: ``train``, ``val`` or another name; "" if it has none.
        openings: source of the eye and mouth openings: ``hand``, ``mesh``, ``exact`` or ``model`` (not reliable); "" if
            unknown.
        taught: (N,) which landmarks a network may learn from; None for all.
        hand2d: (N, 2) hand marks in pixels of ``image``, in the hand marks' own markup; NaN if missing.
        visibility: (N,) int8: 0 visible, 1 occluded by an object, 2 self-occluded, -1 unknown.
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
