"""Cameras, and heads in front of them in millimetres.

A camera is OpenCV's: x right, y down, z away, pixels with an integer at the pixel's centre, and OpenCV's distortion
coefficients. ``in_camera`` (``Face.in_camera``) says where a face is in front of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from jvcr.files import read_text
from jvcr.frames import Points, middle_of, px_to_share, rescaled, share_to_px
from jvcr.geometry import HeadPose, head_pose, mean_head
from jvcr.images import read_exif
from jvcr.markups.markup import MARKUP_68, Markup

Floats = NDArray[np.float64]

OUTER_EYE_MM = 90.0
"""Distance of the outer eye corners of an adult (biocular width, ex–ex).

Published means of adults: 93.0 (SD 5.6) for men and 88.4 (3.7) for women in Hong Kong (BioMed Research International
2013, 821428); about 91 for men and 88 for women in North America (Farkas 1994). Children have less: about 80 at six."""

OUTER_EYE_SD_MM = 5.0
"""Standard deviation of that distance over adults of both sexes."""

SIZE_SD = 0.05
"""Relative standard deviation of the predicted distance of the outer eye corners, in 3D, around a person's own.

The network's own part is 3 % near-frontal and 4 % beyond 30° of yaw (validation photos; the labels' depth comes from
face models). The rest is the markup: landmarks 36 and 45 are 1 % (LFPW) to 7 % (AFLW) closer together than hand marks
of the eye corners, so that distances tend to be too long by as much."""

Convention = Literal["opencv", "opengl", "threejs", "unity"]
_FLIPS: dict[str, tuple[float, float, float]] = {
    "opencv": (1, 1, 1),
    "opengl": (1, -1, -1),
    "threejs": (1, -1, -1),
    "unity": (1, -1, 1),
}

Axis = Literal["x", "y", "diagonal"]

_COEFFICIENTS = (0, 4, 5, 8, 12, 14)
"""Numbers of distortion coefficients that OpenCV knows."""

_FILM_DIAGONAL_MM = math.hypot(36, 24)
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""FocalPlaneResolutionUnit → millimetres."""

_FOCAL, _FOCAL_35, _PLANE_X, _PLANE_Y, _PLANE_UNIT, _WIDTH, _HEIGHT = (
    0x920A,
    0xA405,
    0xA20E,
    0xA20F,
    0xA210,
    0xA002,
    0xA003,
)
_ORIENTATION = 0x0112

_COLMAP = {
    # Parameters: focal lengths, principal point, and where the others go in OpenCV's order.
    "SIMPLE_PINHOLE": (1, 0),
    "PINHOLE": (2, 0),
    "SIMPLE_RADIAL": (1, 1),
    "RADIAL": (1, 2),
    "OPENCV": (2, 4),
    "FULL_OPENCV": (2, 8),
}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV's lens distortion.

    Attributes:
        fx, fy: focal length in pixels of the photo.
        cx, cy: principal point in pixels of the photo; an integer is the centre of a pixel.
        distortion: 0, 4, 5, 8, 12 or 14 coefficients in OpenCV's order: k1, k2, p1, p2, k3, k4, k5, k6, …

    Raises:
        ValueError: a number is not finite, a focal length is not positive, or another number of coefficients.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "distortion", tuple(float(v) for v in self.distortion))
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(math.isfinite(v) for v in numbers):
            raise ValueError(f"camera {numbers}: expected finite numbers")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"focal lengths {self.fx} and {self.fy}: expected positive pixels")
        if len(self.distortion) not in _COEFFICIENTS:
            raise ValueError(
                f"{len(self.distortion)} distortion coefficients; OpenCV's models have 0, 4, 5, 8, 12 or 14. "
                "Fill up with zeros: k1, k2, p1, p2, k3, …"
            )

    @classmethod
    def from_fov(
        cls, width: int, height: int, fov_deg: float, axis: Axis = "x", distortion: Sequence[float] = ()
    ) -> Camera:
        """A camera with square pixels and the principal point in the middle of the photo.

        Args:
            width, height: of the photo, pixels.
            fov_deg: the field of view along ``axis``: ``"x"`` over the width, ``"y"`` over the height, ``"diagonal"``.
                Webcams: 55 to 80 diagonally; phones: main camera about 70 to 80, front camera about 75 to 85.
        Raises:
            ValueError: no field of view between 0 and 180 degrees, an empty photo, or an unknown axis.
        Example: 640 pixels at 90° have a focal length of 320 pixels.
        """
        _check_size(width, height)
        if not 0 < fov_deg < 180:
            raise ValueError(f"field of view {fov_deg}: expected degrees between 0 and 180")
        if axis not in get_args(Axis):
            raise ValueError(f"axis {axis!r}: expected one of {', '.join(get_args(Axis))}")
        extent = {"x": width, "y": height, "diagonal": math.hypot(width, height)}[axis]
        focal = extent / 2 / math.tan(math.radians(fov_deg) / 2)
        return cls._centred(focal, focal, width, height, distortion)

    @classmethod
    def from_exif(cls, photo: str | Path | PIL.Image.Image) -> Camera:
        """The camera that a photo's EXIF data describe, for the photo as ``read_image`` gives it (upright).

        The focal length is the 35 mm equivalent, by the photo's diagonal, as the standard defines it (CIPA DCG-001);
        without it, the focal length times the resolution in the focal plane. The principal point is the middle, and
        there is no distortion. Both are approximations: expect an error of a few percent.

        Raises:
            ImageError: the file cannot be read.
            ValueError: EXIF does not say the focal length, or the photo was cropped since.
        """
        if isinstance(photo, PIL.Image.Image):
            name, (width, height), exif = "the image", photo.size, photo.getexif()
        else:
            name, ((width, height), exif) = str(photo), read_exif(photo)
        tags = exif.get_ifd(0x8769)
        _check_uncropped(name, width, height, tags)
        turned = exif.get(_ORIENTATION) in (5, 6, 7, 8)
        equivalent, focal_mm = _positive(tags, _FOCAL_35), _positive(tags, _FOCAL)
        per_x, per_y = _positive(tags, _PLANE_X), _positive(tags, _PLANE_Y)
        if equivalent:
            fx = fy = equivalent / _FILM_DIAGONAL_MM * math.hypot(width, height)
        elif focal_mm and (per_x or per_y):
            unit_mm = _UNIT_MM.get(int(tags.get(_PLANE_UNIT, 2)), 25.4)
            # The resolution is that of the photo as it was taken.
            fx, fy = (focal_mm * per / unit_mm for per in (per_x or per_y, per_y or per_x))
            fx, fy = fx * width / (_positive(tags, _WIDTH) or width), fy * height / (_positive(tags, _HEIGHT) or height)
        else:
            raise ValueError(
                f"{name}: EXIF holds neither a 35 mm equivalent focal length nor a focal length with the resolution of "
                "the focal plane; give the field of view: Camera.from_fov(width, height, fov_deg)"
            )
        if turned:
            fx, fy, width, height = fy, fx, height, width
        return cls._centred(fx, fy, width, height, ())

    @classmethod
    def from_colmap(cls, source: str | Path, camera_id: int | None = None) -> Camera:
        """A camera of COLMAP: a line of its ``cameras.txt``, or that file.

        COLMAP puts the centre of the first pixel at 0.5, jvcr and OpenCV at 0: half a pixel is subtracted.

        Args:
            source: ``"1 PINHOLE 640 480 500 500 320 240"``, or the path of a ``cameras.txt``.
            camera_id: of the file's cameras; may be None if there is only one.
        Raises:
            ValueError: a model that OpenCV's distortion does not cover (fisheye), a damaged line, no such camera.
        """
        text = str(source)
        if isinstance(source, str) and len(text.split()) > 4 and text.split()[0].isdigit():
            name, lines = "the line", [text]
        else:
            name, lines = text, read_text(Path(source)).splitlines()
        cameras: dict[int, list[str]] = {}
        for line in lines:
            words = line.split()
            if words and not words[0].startswith("#"):
                if not words[0].isdigit() or len(words) < 5:
                    raise ValueError(f"{name}: {line!r} is no camera; expected: ID MODEL WIDTH HEIGHT PARAMETERS")
                cameras[int(words[0])] = words
        known = ", ".join(map(str, cameras)) or "none"
        if camera_id is None and len(cameras) != 1:
            raise ValueError(f"{name}: {len(cameras)} cameras; give camera_id ({known})")
        if camera_id is not None and camera_id not in cameras:
            raise ValueError(f"{name}: no camera {camera_id}; there are: {known}")
        return cls._of_colmap(name, cameras[next(iter(cameras)) if camera_id is None else camera_id])

    @classmethod
    def _of_colmap(cls, name: str, words: list[str]) -> Camera:
        model = words[1]
        if model not in _COLMAP:
            raise ValueError(f"{name}: camera model {model}; supported are {', '.join(_COLMAP)}. Undistort the photos")
        focals, others = _COLMAP[model]
        try:
            width, height, *numbers = map(float, words[2:])
        except ValueError:
            raise ValueError(f"{name}: {' '.join(words)!r}: expected numbers after the model's name") from None
        if len(numbers) != focals + 2 + others:
            raise ValueError(f"{name}: {model} has {focals + 2 + others} parameters; found {len(numbers)}")
        fx, fy = numbers[0], numbers[focals - 1]
        cx, cy, *distortion = numbers[focals:]
        distortion += [0.0] * (4 - len(distortion) if distortion else 0)
        return cls(
            fx,
            fy,
            # From the photo's border to pixel centres.
            float(share_to_px(cx / width, width)),
            float(share_to_px(cy / height, height)),
            tuple(distortion),
        )

    @classmethod
    def from_matrix(cls, matrix: Any, distortion: Any = ()) -> Camera:
        """From OpenCV's camera matrix (3, 3) and distortion coefficients, as ``cv2.calibrateCamera`` gives them.

        Raises:
            ValueError: another shape, a skewed matrix, or as ``Camera``.
        """
        k = np.asarray(matrix, np.float64)
        if k.shape != (3, 3) or not np.allclose(k[[0, 1, 2, 2, 2], [1, 0, 0, 1, 2]], (0, 0, 0, 0, 1)):
            raise ValueError(f"camera matrix {k.tolist()}: expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
        coefficients = () if distortion is None else np.asarray(distortion, np.float64).ravel()
        return cls(float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), tuple(coefficients))

    @classmethod
    def _centred(cls, fx: float, fy: float, width: int, height: int, distortion: Sequence[float]) -> Camera:
        return cls(fx, fy, float(middle_of(width)), float(middle_of(height)), tuple(distortion))

    @property
    def matrix(self) -> Floats:
        """(3, 3) OpenCV's camera matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def resized(self, factor: float) -> Camera:
        """The camera of the same photo, enlarged ``factor`` times (0.5: at half the width)."""
        cx, cy = (float(rescaled(v, factor)) for v in (self.cx, self.cy))
        return replace(self, fx=self.fx * factor, fy=self.fy * factor, cx=cx, cy=cy)

    def project(self, points: Points) -> Floats:
        """(N, 3) points in front of the camera, any unit → (N, 2) pixels.

        Raises:
            ValueError: a point is not in front of the camera.
        """
        points = np.asarray(points, np.float64)
        if not (points[:, 2] > 0).all():
            raise ValueError("a point is not in front of the camera; expected z > 0")
        none = np.zeros(3)
        pixels, _ = cv2.projectPoints(points[:, None], none, none, self.matrix, np.array(self.distortion))
        return np.asarray(pixels[:, 0], np.float64)

    def rays(self, pixels: Points) -> Floats:
        """(N, ≥2) pixels → (N, 3) directions x, y, 1, without the lens distortion. Inverse of ``project``.

        Raises:
            ValueError: the distortion has no inverse at a pixel, usually far outside the photo.
        """
        pixels = np.asarray(pixels, np.float64)[:, :2]
        plain = (pixels - (self.cx, self.cy)) / (self.fx, self.fy)
        if any(self.distortion):
            criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-10)
            found = cv2.undistortPointsIter(
                pixels[:, None], self.matrix, np.array(self.distortion), np.eye(3), np.eye(3), criteria
            )
            plain = np.asarray(found, np.float64)[:, 0]
        rays = np.column_stack([plain, np.ones(len(plain))])
        with np.errstate(all="ignore"):
            off = np.linalg.norm(self.project(rays) - pixels, axis=1)
        wrong = np.flatnonzero(~(off < 0.05))
        if len(wrong):
            x, y = pixels[wrong[0]]
            raise ValueError(
                f"the distortion {self.distortion} has no inverse at pixel ({x:.1f}, {y:.1f}); expected a pixel of the "
                "photo that the camera was calibrated with"
            )
        return rays

    def projection(self, width: int, height: int, near: float, far: float) -> Floats:
        """(4, 4) projection matrix of OpenGL, three.js and Unity (``Camera.projectionMatrix``) for a rendered picture
        that covers the photo.

        It maps view space (x right, y up, z towards the viewer) to clip space; ``near`` and ``far`` are in the scene's
        unit. The distortion is not part of it: undistort the photo (``cv2.undistort``) if it matters.

        Raises:
            ValueError: not 0 < near < far, or an empty photo.
        """
        _check_size(width, height)
        if not 0 < near < far < math.inf:
            raise ValueError(f"near {near} and far {far}: expected 0 < near < far")
        x, y = float(px_to_share(self.cx, width)), float(px_to_share(self.cy, height))
        return np.array(
            [
                [2 * self.fx / width, 0, 1 - 2 * x, 0],
                [0, 2 * self.fy / height, 2 * y - 1, 0],
                [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
                [0, 0, -1, 0],
            ]
        )


@dataclass(frozen=True, eq=False)
class HeadInCamera:
    """A head in front of a camera. Axes: x right, y down, z away from the camera; millimetres.

    Attributes:
        rotation: (3, 3), the mean head's axes → the camera's. Unlike ``Face.pose``, which is relative to the line of
            sight, it is relative to the camera's axes.
        translation: (3,) where the head's origin is: the landmarks' mean, a few centimetres behind the nose's bridge.
        landmarks: (N, 3); ``camera.project(landmarks)`` are the landmarks' pixels.
        sigma_distance_mm: standard deviation of ``distance_mm``: people's size, and the network's error of it. 0 for a
            given distance. Errors of the camera are not part of it.
        outer_eye_mm: the head's distance of the outer eye corners: as assumed, or as it follows from a given distance.
            It is also the length of the mean head's unit (``jvcr.geometry.mean_head``) on this head.
    """

    rotation: Floats
    translation: Floats
    landmarks: Floats
    sigma_distance_mm: float
    outer_eye_mm: float

    @property
    def distance_mm(self) -> float:
        """From the camera's centre of projection to the head's origin."""
        return float(np.linalg.norm(self.translation))

    @cached_property
    def pose(self) -> HeadPose:
        """Yaw, pitch and roll relative to the camera's axes."""
        return HeadPose.from_rotation(self.rotation)

    @property
    def direction(self) -> Floats:
        """(3,) unit vector: where the face points."""
        return -self.rotation[:, 2]

    def matrix(self, convention: Convention = "opencv", unit_mm: float = 1.0) -> Floats:
        """(4, 4) matrix, column vectors: points of the head → view space of the camera, in a renderer's axes.

        In every convention a head that looks straight into the camera is not rotated: the head's axes and the camera's
        are flipped alike.

        - ``"opencv"``: x right, y down, z away from the camera.
        - ``"opengl"``, ``"threejs"``: right-handed, x right, y up, z towards the viewer; a face looks along +z.
          For three.js: ``new Matrix4().fromArray(matrix.T.ravel())``, since it stores columns.
        - ``"unity"``: left-handed, x right, y up, z away; a face looks along −z. It is the head's transform under the
          camera's (not ``worldToCameraMatrix``, which has OpenGL's axes).

        Args:
            unit_mm: length of the scene's unit: 1 for millimetres, 1000 for metres.
        Raises:
            ValueError: an unknown convention, or no positive unit.
        """
        if convention not in _FLIPS:
            raise ValueError(f"convention {convention!r}: expected one of {', '.join(_FLIPS)}")
        if not 0 < unit_mm < math.inf:
            raise ValueError(f"unit_mm {unit_mm}: expected a positive number, the scene's unit in millimetres")
        flip = np.array(_FLIPS[convention])
        matrix = np.eye(4)
        matrix[:3, :3] = flip[:, None] * self.rotation * flip
        matrix[:3, 3] = flip * self.translation / unit_mm
        return matrix

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: angles, rotation, and millimetres to a tenth."""
        return {
            "rotation": self.rotation.tolist(),
            "translation_mm": np.round(self.translation, 1).tolist(),
            "landmarks_mm": np.round(self.landmarks, 1).tolist(),
            "distance_mm": round(self.distance_mm, 1),
            "sigma_distance_mm": round(self.sigma_distance_mm, 1),
            "yaw_deg": self.pose.yaw_deg,
            "pitch_deg": self.pose.pitch_deg,
            "roll_deg": self.pose.roll_deg,
        }


def in_camera(
    landmarks: Points,
    camera: Camera,
    markup: Markup = MARKUP_68,
    *,
    outer_eye_mm: float | None = None,
    outer_eye_sd_mm: float | None = None,
    distance_mm: float | None = None,
) -> HeadInCamera:
    """Where a face is in front of a camera, in millimetres.

    The model. A landmark's x and y are pixels, with all the perspective that the photo has: they fix a ray. Its z is a
    depth in pixels along the line of sight, the ray through the face's middle: a network sees a crop and does not know
    where in the photo it lies. Per unit of length at the face, there are k / D pixels: D is the face's distance along
    the line of sight and k the local focal length (pixels per radian). A landmark therefore lies at the depth
    D + z · D / k, and its ray gives the rest:

        point = D · (1 + z / k) · ray,    with ray · line of sight = 1

    The whole head scales with D, and D is what makes the outer eye corners as far apart as they are. There is nothing
    left to iterate or to optimise. These points and pixels are what a PnP solver wants to find: given this shape, it
    returns this pose. The rotation is that of the mean head aligned with the points.

    Args:
        landmarks: (N, 3) image pixels, as ``Face.landmarks``.
        outer_eye_mm: distance of the outer eye corners, measured on the person. None: ``OUTER_EYE_MM``, an adult's.
        outer_eye_sd_mm: its standard deviation. None: ``OUTER_EYE_SD_MM`` for the default size, 0 for a given one.
        distance_mm: known distance of the head (``HeadInCamera.distance_mm``); it replaces the size.
    Raises:
        ValueError: no head pose in this markup (``jvcr.geometry.head_pose``); a size or distance that is not positive,
            or both; a face that does not fit the camera.
    """
    landmarks = np.asarray(landmarks, np.float64)
    head = mean_head(markup)
    for name, value in (("outer_eye_mm", outer_eye_mm), ("distance_mm", distance_mm)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} {value}: expected a positive number of millimetres")
    if outer_eye_sd_mm is not None and not 0 <= outer_eye_sd_mm < math.inf:
        raise ValueError(f"outer_eye_sd_mm {outer_eye_sd_mm}: expected millimetres, at least 0")
    if distance_mm is not None and (outer_eye_mm, outer_eye_sd_mm) != (None, None):
        raise ValueError("outer_eye_mm and distance_mm: a distance replaces the size; give one of them")
    middle = landmarks[:, :2].mean(axis=0, keepdims=True)
    sight = camera.rays(middle)[0]
    sight /= np.linalg.norm(sight)
    along = 1 + landmarks[:, 2] / _focal_px(camera, sight)
    rays = camera.rays(landmarks)
    across = rays @ sight
    if (along <= 0).any() or (across <= 0).any():
        raise ValueError(
            "the face is deeper than its distance from the camera: it does not fit this camera. Check that the focal "
            "length and the principal point are in pixels of this photo"
        )
    points = (along / across)[:, None] * rays
    # Raises for a markup without a mean head.
    rotation = head_pose(points, markup).rotation
    assert head is not None
    # Outer eye corners among the 68 points; another markup's pair is as far apart as on the mean head.
    first, second = markup.normaliser
    eyes = float(np.linalg.norm(points[first] - points[second]) / np.linalg.norm(head[first] - head[second]))
    if not eyes > 0:
        raise ValueError(f"landmarks {first} and {second}, which give the face's size, coincide")
    if distance_mm is None:
        size_mm = OUTER_EYE_MM if outer_eye_mm is None else outer_eye_mm
        scale = size_mm / eyes
        default_sd = OUTER_EYE_SD_MM if outer_eye_mm is None else 0.0
        relative = math.hypot((default_sd if outer_eye_sd_mm is None else outer_eye_sd_mm) / size_mm, SIZE_SD)
    else:
        scale, relative = distance_mm / float(np.linalg.norm(points.mean(axis=0))), 0.0
    points = scale * points
    translation = points.mean(axis=0)
    return HeadInCamera(rotation, translation, points, relative * float(np.linalg.norm(translation)), scale * eyes)


def _focal_px(camera: Camera, sight: Floats) -> float:
    """Pixels per radian around a line of sight: the square root of how many pixels² a small solid angle covers."""
    side = np.cross(sight, (0.0, 1.0, 0.0))
    side /= np.linalg.norm(side)
    step = 1e-4
    offsets = step * np.stack([side, -side, np.cross(sight, side), -np.cross(sight, side)])
    right, left, down, up = camera.project(sight + offsets)
    jacobian = np.column_stack([right - left, down - up]) / (2 * step)
    return math.sqrt(abs(float(np.linalg.det(jacobian))))


def _check_size(width: int, height: int) -> None:
    if width <= 0 or height <= 0:
        raise ValueError(f"a photo of {width} × {height} pixels: expected at least one pixel")


def _positive(tags: Any, tag: int) -> float:
    """A number of EXIF; 0 if it is missing, 0 or no number."""
    try:
        value = float(tags.get(tag, 0))
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return value if 0 < value < math.inf else 0.0


def _check_uncropped(name: str, width: int, height: int, tags: Any) -> None:
    """Raise if the photo has another shape than the one that was taken."""
    taken = sorted((_positive(tags, _WIDTH), _positive(tags, _HEIGHT)))
    now = sorted((width, height))
    if taken[0] and abs(taken[1] / taken[0] * now[0] / now[1] - 1) > 0.02:
        raise ValueError(
            f"{name}: {width} × {height} pixels, but EXIF says that {taken[1]:.0f} × {taken[0]:.0f} were taken: the "
            "photo was cropped, and its focal length is not known. Use the original, or Camera.from_fov"
        )
