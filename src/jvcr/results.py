"""The result of a prediction: one face."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jvcr.expression import Expression, expression
from jvcr.frames import Box, Crop, diagonals
from jvcr.geometry import HeadPose, far_side, head_pose, mean_head
from jvcr.markups.markup import MARKUP_68, Markup

if TYPE_CHECKING:
    from jvcr.camera import Camera, HeadInCamera

RELIABLE_SIGMA = 0.025
"""Largest mean σ of a reliable face, in diagonals of its landmarks' box."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one image.

    Attributes:
        landmarks: (N, 3) float32 image pixels, integer = pixel centre: x right, y down, z *away* from the camera
            in the same pixel unit, mean of z = 0.
        box: landmark box, image pixels: the given box, or for a detected face, the box around ``landmarks``.
        score: 0…1, the probability that ``box`` contains a face (an IoU of at least 0.4 with the true landmark box).
            It combines the detector's score, the agreement of volume and landmarks, and the landmarks' σ
            (``jvcr.runtime.confidence``); for given boxes, it uses the agreement alone.
        volume: (D, H, W) float32, the predicted compact volume, about 0…1 with a peak at each landmark; None unless
            requested (``Landmarker.predict(…, volumes=True)``), and after ``from_dict``.
        crop: the position of the volume in the image, including depth: ``crop.to_crop(landmarks)`` converts landmarks
            to its frame (``jvcr.frames``); None after ``from_dict``.
        markup: names the landmarks.
        visibility: (N,) float32, 0…1, the probability that the landmark is visible: in the frame, and hidden neither by
            the head itself nor by hair, hands, glasses or other things. None if the weights cannot tell.
        sigma_px: (N,) float32, the standard deviation of the error of x, and of that of y, in image pixels. None if the
            weights cannot tell.

    Raises:
        ValueError: shapes do not fit, or a coordinate is not finite.
    """

    landmarks: NDArray[np.float32]
    box: Box
    score: float
    volume: NDArray[np.float32] | None = field(default=None, repr=False)
    crop: Crop | None = field(default=None, repr=False)
    markup: Markup = field(default=MARKUP_68, repr=False)
    visibility: NDArray[np.float32] | None = field(default=None, repr=False)
    sigma_px: NDArray[np.float32] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.landmarks.shape != (self.markup.n_points, 3):
            raise ValueError(
                f"landmarks have shape {self.landmarks.shape}; markup {self.markup.name!r} expects "
                f"({self.markup.n_points}, 3)"
            )
        if not np.isfinite(self.landmarks).all():
            raise ValueError("a landmark is not finite")
        for name in ("visibility", "sigma_px"):
            values = getattr(self, name)
            if values is not None and values.shape != (self.markup.n_points,):
                raise ValueError(f"{name} has shape {values.shape}; expected ({self.markup.n_points},)")

    @property
    def reliable(self) -> bool | None:
        """Whether the mean of ``sigma_px`` is below ``RELIABLE_SIGMA`` times the diagonal of the landmarks' box; None
        without ``sigma_px``."""
        if self.sigma_px is None:
            return None
        return bool(self.sigma_px.mean() < RELIABLE_SIGMA * diagonals(self.landmarks))

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(N,) landmarks that are probably not visible: those with a ``visibility`` below 0.5. Without ``visibility``,
        those on the half of the face that is turned away, clearly behind their mirror partner."""
        if self.visibility is None:
            return far_side(self.landmarks, self.markup)
        return self.visibility < 0.5

    @property
    def has_pose(self) -> bool:
        """Whether the markup is derived from the 68 points, so that ``pose`` is defined."""
        return mean_head(self.markup) is not None

    @cached_property
    def pose(self) -> HeadPose:
        """Head pose: ``rotation`` (3, 3) first, then yaw, pitch and roll in degrees (``jvcr.geometry.HeadPose``).

        Raises:
            ValueError: ``has_pose`` is False.
        """
        return head_pose(self.landmarks, self.markup)

    @property
    def has_expression(self) -> bool:
        """Whether the landmarks are the 68 points, so that ``expression`` is defined."""
        return (self.markup.name, self.markup.n_points) == (MARKUP_68.name, MARKUP_68.n_points)

    @cached_property
    def expression(self) -> Expression:
        """Eyes, mouth, smile and brows on scales of 0…1 (``jvcr.expression.Expression``).

        Raises:
            ValueError: ``has_expression`` is False.
        """
        if not self.has_expression:
            raise ValueError(f"markup {self.markup.name!r} has no expression: it is defined for {MARKUP_68.name!r}")
        return expression(self.landmarks)

    def in_camera(
        self,
        camera: Camera,
        *,
        outer_eye_mm: float | None = None,
        outer_eye_sd_mm: float | None = None,
        distance_mm: float | None = None,
    ) -> HeadInCamera:
        """The head in the camera's frame: rotation, translation and landmarks in millimetres.

        One photo does not show the size of a head. The distance of the outer eye corners is assumed to be an adult's,
        90 ± 5 mm; ``sigma_distance_mm`` gives the resulting uncertainty. Model and errors: ``jvcr.camera.in_camera``.

        Args:
            camera: of the photo in which the face was found (``jvcr.camera.Camera``).
            outer_eye_mm, outer_eye_sd_mm: the person's own eye-corner distance, and its standard deviation.
            distance_mm: the head's distance from the camera, if known. Then no size is needed.
        Raises:
            ValueError: ``has_pose`` is False; a size or distance that is not positive, or both; a face that does not
                fit the camera.
        """
        from jvcr.camera import in_camera

        return in_camera(
            self.landmarks,
            camera,
            self.markup,
            outer_eye_mm=outer_eye_mm,
            outer_eye_sd_mm=outer_eye_sd_mm,
            distance_mm=distance_mm,
        )

    def to_dict(self, names: bool = False) -> dict[str, Any]:
        """Plain lists and numbers, as in the command line's JSON, without the volume.

        ``markup`` is the markup's name; it is omitted for the 68 points. With ``names=True``, ``names`` holds the names
        of the N landmarks, in their order.
        """
        values: dict[str, Any] = {
            "box": [round(v, 3) for v in self.box.to_list()],
            "score": round(self.score, 4),
            "landmarks": np.round(self.landmarks.astype(np.float64), 3).tolist(),
        }
        if self.has_pose:
            values["pose"] = self.pose.to_dict()
        if self.markup.name != MARKUP_68.name:
            values["markup"] = self.markup.name
        if names:
            values["names"] = list(self.markup.labels)
        if self.has_expression:
            values["expression"] = self.expression.to_dict()
        if self.visibility is not None:
            values["visibility"] = _rounded(self.visibility, 3)
        if self.sigma_px is not None:
            values["sigma_px"] = _rounded(self.sigma_px, 3)
            values["reliable"] = self.reliable
        return values

    def save(
        self,
        path: str | Path,
        *,
        image: str = "",
        size: tuple[int, int] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the face in a format of another tool. The file name's ending chooses the format (docs/exports.md).

        Args:
            path: ends in ``.obj``, ``.ply``, ``.glb``, ``.pts``, ``.csv``, ``.points.csv``, ``.parquet``, ``.json``
                (COCO), ``.xml`` (dlib) or ``.npz``.
            image: name of the photo, for formats that store it; by default the name of the file.
            size: width and height of the photo. COCO needs it; the camera of a ``.glb`` shows the whole photo with it.
            overwrite: replace an existing file.
        Raises:
            ValueError: the ending is unknown, or the format needs ``size``.
            ExistingResults: the file exists, and ``overwrite`` is False.
            MissingExtra: ``.parquet`` needs pyarrow (extra ``parquet``), which is not installed.

        Example: ``face.save("face.glb")`` opens in Blender and three.js.
        """
        from jvcr.io.exports import save_face

        save_face(Path(path), self, image, size, overwrite)

    @classmethod
    def from_dict(cls, values: dict[str, Any], markup: Markup = MARKUP_68) -> Face:
        """Inverse of ``to_dict``, to a thousandth of a pixel. The volume is not restored.

        Raises:
            ValueError: the face is of another markup.
        """
        if values.get("markup", markup.name) != markup.name:
            raise ValueError(
                f"the face is of markup {values['markup']!r}, not {markup.name!r}; "
                "give its own: Face.from_dict(values, markup)"
            )
        return cls(
            landmarks=np.asarray(values["landmarks"], np.float32),
            box=Box(*values["box"]),
            score=float(values["score"]),
            markup=markup,
            visibility=_given(values, "visibility"),
            sigma_px=_given(values, "sigma_px"),
        )


def _rounded(values: NDArray[np.float32], digits: int) -> list[float]:
    return [round(value, digits) for value in values.astype(np.float64).tolist()]


def _given(values: dict[str, Any], key: str) -> NDArray[np.float32] | None:
    return np.asarray(values[key], np.float32) if values.get(key) is not None else None
