"""Heads at known places, seen by known cameras. What a network says of them is made here from what it may know: the
pixels, and depths along the line of sight in pixels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from jvcr import Box, Camera, Face
from jvcr.camera import OUTER_EYE_MM, OUTER_EYE_SD_MM, SIZE_SD, HeadInCamera, in_camera
from jvcr.geometry import HeadPose, head_pose, mean_head, mean_shape_68, rotation_from_angles
from jvcr.images import ImageError
from jvcr.markups.file import markup_from
from jvcr.metrics import rotation_errors

WIDTH, HEIGHT = 1280, 720
DISTORTIONS = {
    "none": (),
    "webcam": (-0.12, 0.03, 0.001, -0.002),
    "wide": (-0.28, 0.08, 0.0, 0.0, -0.01),
    "pincushion": (0.1, -0.02, -0.001, 0.001),
}
PLACES_MM = [(0, 0, 200), (12, -25, 300), (-90, 40, 450), (220, -60, 700), (-500, 200, 1500), (1500, 700, 5000)]
TURNS = [(0, 0, 0), (30, -12, 8), (-55, 20, -25), (85, 5, 10), (10, 35, 170)]


def camera(distortion: tuple[float, ...] = ()) -> Camera:
    return Camera(930.0, 960.0, 652.5, 341.0, distortion)


def head_at(place: Any, turn: tuple[float, float, float], size_mm: float = 90.0) -> NDArray[np.float64]:
    """(68, 3) mm of the mean head in front of the camera."""
    return size_mm * mean_shape_68() @ rotation_from_angles(*turn).T + np.array(place, np.float64)


def seen(points_mm: NDArray[np.float64], by: Camera) -> Face:
    """What a perfect network says of a head: pixels, and depth along the line of sight times pixels per mm there.

    Pixels per mm: from the size in the photo of a small sphere at the head's depth. Not the formula of the module.
    """
    pixels = by.project(points_mm)
    sight = by.rays(pixels.mean(axis=0, keepdims=True))[0]
    sight /= np.linalg.norm(sight)
    depth = points_mm @ sight
    centre = depth.mean() * sight
    # Points on a circle across the line of sight, 1 mm in radius; the area of its image.
    first = np.linalg.svd(sight[None])[2][1:]
    angle = np.linspace(0, 2 * np.pi, 361)
    circle = centre + np.column_stack([np.cos(angle), np.sin(angle)]) @ first
    x, y = by.project(circle).T
    area = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
    z = (depth - depth.mean()) * math.sqrt(area / np.pi)
    landmarks = np.column_stack([pixels, z]).astype(np.float32)
    return Face(landmarks, Box.around(landmarks), 1.0)


def angle_deg(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(rotation_errors(one[None], other[None])[0])


@pytest.mark.parametrize("distortion", DISTORTIONS.values(), ids=DISTORTIONS)
@pytest.mark.parametrize("place", PLACES_MM, ids=lambda place: f"{place[2]} mm")
def test_a_head_is_found_where_it_is(place: tuple[float, ...], distortion: tuple[float, ...]) -> None:
    by = camera(distortion)
    for turn in TURNS:
        points = head_at(place, turn)
        got = seen(points, by).in_camera(by, outer_eye_mm=90)
        assert got.distance_mm == pytest.approx(np.linalg.norm(place), rel=0.01)
        assert angle_deg(got.rotation, rotation_from_angles(*turn)) < 0.5
        np.testing.assert_allclose(got.landmarks, points, atol=0.01 * np.linalg.norm(place))
        # Exact, in fact: what is left is the rounding of the landmarks to 32 bits.
        np.testing.assert_allclose(got.landmarks, points, rtol=1e-3, atol=0.05)
        np.testing.assert_allclose(by.project(got.landmarks), seen(points, by).landmarks[:, :2], atol=0.01)


@pytest.mark.parametrize("solver", [cv2.SOLVEPNP_SQPNP, cv2.SOLVEPNP_EPNP])
@pytest.mark.parametrize("place", PLACES_MM[:4], ids=lambda place: f"{place[2]} mm")
def test_a_pnp_solver_finds_the_same_place(place: tuple[float, ...], solver: int) -> None:
    """OpenCV's solvers are told the true shape, and find with the pixels alone where the head is."""
    by = camera(DISTORTIONS["webcam"])
    face = seen(head_at(place, (25, -10, 5)), by)
    shape, pixels = 90 * mean_shape_68(), face.landmarks[:, :2].astype(np.float64)
    k, distortion = by.matrix, np.array(by.distortion)
    _, turn, shift = cv2.solvePnP(shape, pixels, k, distortion, flags=solver)
    turn, shift = cv2.solvePnPRefineLM(shape, pixels, k, distortion, turn, shift)
    got = face.in_camera(by, outer_eye_mm=90)
    assert angle_deg(got.rotation, cv2.Rodrigues(turn)[0]) < 0.05
    np.testing.assert_allclose(got.translation, shift.ravel(), rtol=2e-3, atol=0.2)


def test_weak_perspective_is_wrong_where_this_is_right() -> None:
    """At 25 cm, pixels times one scale miss the head's shape by centimetres; beside the axis, its pose by degrees."""
    by, points = camera(), head_at((0, 0, 250), (35, 0, 0))
    face = seen(points, by)
    scaled = face.landmarks * 90 / np.linalg.norm(face.landmarks[36] - face.landmarks[45])
    shape = points - points.mean(axis=0)
    assert np.linalg.norm(scaled - scaled.mean(axis=0) - shape, axis=1).max() > 10
    assert np.linalg.norm(face.in_camera(by, outer_eye_mm=90).landmarks - points, axis=1).max() < 0.1
    beside = seen(head_at((150, 0, 250), (0, 0, 0)), by)
    assert angle_deg(beside.pose.rotation, np.eye(3)) > 20
    assert angle_deg(beside.in_camera(by).rotation, np.eye(3)) < 0.1


def test_depth_along_the_optical_axis_is_not_what_a_crop_shows() -> None:
    """Turn the camera about its centre: the photo is only warped, and the head in space stays where it was."""
    by = camera()
    points = head_at((0, 0, 600), (20, 5, -4))
    turned = rotation_from_angles(-22, 9, 0)
    before = seen(points, by).in_camera(by)
    after = seen(points @ turned.T, by).in_camera(by)
    assert np.linalg.norm(after.translation - turned @ before.translation) < 3
    assert angle_deg(after.rotation, turned @ before.rotation) < 0.3


def test_the_size_is_assumed_measured_or_replaced_by_a_distance() -> None:
    by = camera()
    face = seen(head_at((30, -20, 800), (15, 5, 0), size_mm=84), by)
    true = math.sqrt(30**2 + 20**2 + 800**2)
    assumed, measured = face.in_camera(by), face.in_camera(by, outer_eye_mm=84)
    assert assumed.outer_eye_mm == pytest.approx(90) and measured.outer_eye_mm == pytest.approx(84)
    assert measured.distance_mm == pytest.approx(true, rel=1e-3)
    assert assumed.distance_mm == pytest.approx(true * 90 / 84, rel=1e-3)
    relative = math.hypot(OUTER_EYE_SD_MM / OUTER_EYE_MM, SIZE_SD)
    assert assumed.sigma_distance_mm == pytest.approx(relative * assumed.distance_mm)
    assert abs(assumed.distance_mm - true) < assumed.sigma_distance_mm
    assert measured.sigma_distance_mm == pytest.approx(SIZE_SD * true, rel=1e-3)
    with_sd = face.in_camera(by, outer_eye_mm=84, outer_eye_sd_mm=2)
    assert with_sd.sigma_distance_mm == pytest.approx(math.hypot(2 / 84, SIZE_SD) * true, rel=1e-3)
    known = face.in_camera(by, distance_mm=true)
    assert (known.distance_mm, known.sigma_distance_mm) == (pytest.approx(true), 0)
    assert known.outer_eye_mm == pytest.approx(84, rel=1e-3)
    np.testing.assert_allclose(known.rotation, assumed.rotation, atol=1e-9)
    np.testing.assert_allclose(known.landmarks, measured.landmarks, rtol=2e-3, atol=0.1)


def test_the_spread_of_sizes_is_what_sigma_says() -> None:
    """Faces of people whose eyes are 90 ± 5 mm apart, all at 70 cm: the distances spread as stated."""
    by, rng = camera(), np.random.default_rng(7)
    faces = [seen(head_at((0, 0, 700), (5, 0, 0), size_mm=90 + 5 * rng.normal()), by) for _ in range(300)]
    found = [face.in_camera(by) for face in faces]
    without_network = found[0].sigma_distance_mm * (5 / 90) / math.hypot(5 / 90, SIZE_SD)
    assert np.std([head.distance_mm for head in found]) == pytest.approx(without_network, rel=0.15)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"outer_eye_mm": 0}, "outer_eye_mm 0: expected a positive number of millimetres"),
        ({"outer_eye_mm": math.nan}, "outer_eye_mm nan"),
        ({"distance_mm": -5}, "distance_mm -5: expected a positive"),
        ({"outer_eye_sd_mm": -1}, "outer_eye_sd_mm -1: expected"),
        ({"distance_mm": 500, "outer_eye_mm": 90}, "give one of them"),
    ],
)
def test_wrong_sizes_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seen(head_at((0, 0, 500), (0, 0, 0)), camera()).in_camera(camera(), **wrong)


def test_a_face_that_does_not_fit_the_camera_is_refused() -> None:
    face = seen(head_at((0, 0, 300), (0, 0, 0)), camera())
    with pytest.raises(ValueError, match="does not fit this camera"):
        face.in_camera(Camera(9.3, 9.6, 652.5, 341.0))


def test_other_markups() -> None:
    by, points = camera(), head_at((40, 10, 400), (20, -5, 3))
    face = seen(points, by)
    markup = markup_from("66")
    derived = markup.derivations["ibug-68"].apply(face.landmarks.astype(np.float64))
    head = mean_head(markup)
    assert head is not None
    got = in_camera(derived - (0, 0, derived[:, 2].mean()), by, markup, outer_eye_mm=90)
    # Without two of the mouth's points, the mean depth is another one; it is a shift of a millimetre.
    assert got.distance_mm == pytest.approx(np.linalg.norm(points.mean(axis=0)), rel=0.01)
    assert angle_deg(got.rotation, rotation_from_angles(20, -5, 3)) < 0.5


# Matrices


def pixels_of_clip(clip: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip space → pixels of a picture of WIDTH × HEIGHT; the centre of the first pixel is 0."""
    x, y = (clip[:, :2] / clip[:, 3:]).T
    return np.column_stack([(x + 1) / 2 * WIDTH - 0.5, (1 - y) / 2 * HEIGHT - 0.5])


@pytest.mark.parametrize(
    ("convention", "head_axes", "to_gl"),
    [
        ("opencv", (1, 1, 1), (1, -1, -1)),
        ("opengl", (1, -1, -1), (1, 1, 1)),
        ("threejs", (1, -1, -1), (1, 1, 1)),
        ("unity", (1, -1, 1), (1, 1, -1)),
    ],
)
@pytest.mark.parametrize("unit_mm", [1.0, 1000.0])
def test_matrices_project_to_the_same_pixels(
    convention: Any, head_axes: tuple[int, ...], to_gl: tuple[int, ...], unit_mm: float
) -> None:
    """A model in the head's axes, placed by the matrix and projected by the renderer, covers the landmarks."""
    by, turn = camera(), (35, -15, 20)
    points = head_at((60, -30, 420), turn)
    got = seen(points, by).in_camera(by, outer_eye_mm=90)
    model = np.column_stack([90 / unit_mm * mean_shape_68() * head_axes, np.ones(68)])
    view = model @ got.matrix(convention, unit_mm).T
    assert np.linalg.det(got.matrix(convention)[:3, :3]) == pytest.approx(1)
    # A renderer looks along −z of view space; Unity's camera looks along +z of its transform.
    clip = (view * (*to_gl, 1)) @ by.projection(WIDTH, HEIGHT, 10 / unit_mm, 5000 / unit_mm).T
    np.testing.assert_allclose(pixels_of_clip(clip), by.project(points), atol=0.1)
    depth = clip[:, 2] / clip[:, 3]
    assert (np.abs(depth) < 1).all()
    assert np.corrcoef(depth, points[:, 2])[0, 1] > 0.98  # further away is deeper


def test_a_head_that_looks_into_the_camera_is_not_rotated_in_any_convention() -> None:
    by = Camera.from_fov(WIDTH, HEIGHT, 60)
    got = seen(head_at((0, 0, 500), (0, 0, 0)), by).in_camera(by)
    for convention, z in (("opencv", 500), ("opengl", -500), ("threejs", -500), ("unity", 500)):
        matrix = got.matrix(convention)
        np.testing.assert_allclose(matrix[:3, :3], np.eye(3), atol=2e-3)
        np.testing.assert_allclose(matrix[:, 3], (0, 0, z, 1), atol=2)
    np.testing.assert_allclose(got.direction, (0, 0, -1), atol=2e-3)


def test_signs_in_opengl_by_hand() -> None:
    """The person turns to their left, to the photo's right: in OpenGL, a face that looked along +z looks at +x too."""
    by = camera()
    got = seen(head_at((100, 50, 800), (30, 0, 0)), by).in_camera(by)
    ahead = got.matrix("opengl")[:3, :3] @ [0, 0, 1]
    np.testing.assert_allclose(ahead, (0.5, 0, math.cos(math.radians(30))), atol=5e-3)
    assert got.matrix("opengl")[1, 3] < -45  # lower in the photo is lower in OpenGL
    np.testing.assert_allclose(got.matrix("unity")[:3, :3] @ [0, 0, -1], (0.5, 0, -0.866), atol=5e-3)


def test_unknown_conventions_and_units_are_refused() -> None:
    got = HeadInCamera(np.eye(3), np.array([0, 0, 500.0]), np.zeros((68, 3)), 1.0, 90.0)
    with pytest.raises(ValueError, match="convention 'blender': expected one of opencv, opengl, threejs, unity"):
        got.matrix("blender")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unit_mm 0"):
        got.matrix("opengl", unit_mm=0)
    assert set(got.to_dict()) >= {"rotation", "translation_mm", "landmarks_mm", "distance_mm", "sigma_distance_mm"}


def test_angles_are_those_of_the_camera_not_of_the_line_of_sight() -> None:
    """Beside the axis, a head parallel to it has yaw 0 here; in the photo it is seen from the side."""
    by = camera()
    face = seen(head_at((300, 0, 600), (0, 0, 0)), by)
    assert face.in_camera(by).pose.yaw_deg == pytest.approx(0, abs=0.1)
    assert face.pose.yaw_deg > 20
    assert head_pose(face.landmarks).yaw_deg == face.pose.yaw_deg
    assert isinstance(face.in_camera(by).pose, HeadPose)


# Cameras


def test_project_and_rays_by_hand() -> None:
    by = Camera(100, 200, 10, 20)
    np.testing.assert_allclose(by.project(np.array([[1.0, 2, 4]])), [[35, 120]])
    np.testing.assert_allclose(by.rays(np.array([[35.0, 120]])), [[0.25, 0.5, 1]])
    bent = Camera(100, 100, 0, 0, (0.5, 0, 0, 0))
    # r² = 0.25: x' = 0.5 · (1 + 0.5 · 0.25).
    np.testing.assert_allclose(bent.project(np.array([[0.5, 0, 1]])), [[56.25, 0]])
    np.testing.assert_allclose(bent.rays(np.array([[56.25, 0]])), [[0.5, 0, 1]], atol=1e-6)
    with pytest.raises(ValueError, match="not in front of the camera"):
        by.project(np.array([[0, 0, -1.0]]))


def test_a_pixel_without_a_ray_is_refused() -> None:
    # Barrel distortion folds back at r = 1/sqrt(3 · 0.3), where it reaches 0.70 focal lengths.
    with pytest.raises(ValueError, match=r"no inverse at pixel \(900.0, 0.0\)"):
        Camera(1000, 1000, 0, 0, (-0.3, 0, 0, 0)).rays(np.array([[100.0, 0], [900, 0]]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 0, 0), "focal lengths 0 and 1"),
        ((1, 1, math.inf, 0), "expected finite numbers"),
        ((1, 1, 0, 0, (0.1,)), "1 distortion coefficients; OpenCV's models have 0, 4, 5"),
    ],
)
def test_cameras_that_are_none(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Camera(*values)


def test_from_fov() -> None:
    got = Camera.from_fov(640, 480, 90)
    assert (got.fx, got.fy, got.cx, got.cy) == pytest.approx((320, 320, 319.5, 239.5))
    # The outer border of the photo is at 45°.
    np.testing.assert_allclose(got.rays(np.array([[-0.5, 239.5]]))[0], (-1, 0, 1))
    assert Camera.from_fov(640, 480, 90, axis="y").fy == pytest.approx(240)
    assert Camera.from_fov(640, 480, 90, axis="diagonal").fx == pytest.approx(400)
    for wrong in ({"fov_deg": 180}, {"fov_deg": 0}, {"fov_deg": 60, "axis": "z"}, {"fov_deg": 60, "width": 0}):
        with pytest.raises(ValueError):
            Camera.from_fov(**({"width": 640, "height": 480} | wrong))  # type: ignore[arg-type]


def test_resized_is_the_camera_of_the_reduced_photo() -> None:
    by = camera(DISTORTIONS["webcam"])
    points = head_at((50, -20, 400), (10, 0, 0))
    large, small = by.project(points), by.resized(0.25).project(points)
    np.testing.assert_allclose(small, (large + 0.5) / 4 - 0.5, atol=1e-6)


def test_from_matrix() -> None:
    by = camera(DISTORTIONS["wide"])
    assert Camera.from_matrix(by.matrix, np.array([by.distortion])) == by
    assert Camera.from_matrix(by.matrix, None) == camera()
    for wrong in (np.eye(4), np.array([[500, 3, 320], [0, 500, 240], [0, 0, 1]])):
        with pytest.raises(ValueError, match="expected \\[\\[fx, 0, cx\\]"):
            Camera.from_matrix(wrong)


COLMAP_FILE = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 3
1 SIMPLE_RADIAL 3072 2304 2559.81 1536 1152 -0.0204997
2 PINHOLE 640 480 500 510 320 240
7 OPENCV 640 480 500 510 321 239 -0.1 0.02 0.001 -0.002
"""


def test_from_colmap(tmp_path: Path) -> None:
    path = tmp_path / "cameras.txt"
    path.write_text(COLMAP_FILE, encoding="utf-8")
    # The middle of 3072 pixels is 1536 for COLMAP and 1535.5 for us.
    assert Camera.from_colmap(path, 1) == Camera(2559.81, 2559.81, 1535.5, 1151.5, (-0.0204997, 0, 0, 0))
    assert Camera.from_colmap(str(path), 2) == Camera(500, 510, 319.5, 239.5)
    assert Camera.from_colmap(path, 7) == Camera(500, 510, 320.5, 238.5, (-0.1, 0.02, 0.001, -0.002))
    assert Camera.from_colmap("1 SIMPLE_PINHOLE 64 48 50 32 24") == Camera(50, 50, 31.5, 23.5)
    assert Camera.from_colmap("1 RADIAL 64 48 50 32 24 0.1 0.2").distortion == (0.1, 0.2, 0, 0)
    full = Camera.from_colmap("1 FULL_OPENCV 64 48 50 51 32 24 1 2 3 4 5 6 7 8")
    assert full.distortion == (1, 2, 3, 4, 5, 6, 7, 8)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 OPENCV_FISHEYE 64 48 50 51 32 24 0 0 0 0", "camera model OPENCV_FISHEYE; supported are SIMPLE_PINHOLE"),
        ("1 PINHOLE 64 48 50 32 24", "PINHOLE has 4 parameters; found 3"),
        ("1 PINHOLE 64 48 50 x 32 24", "expected numbers"),
    ],
)
def test_damaged_lines_of_colmap(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Camera.from_colmap(line)


def test_a_file_of_colmap_needs_the_camera(tmp_path: Path) -> None:
    path = tmp_path / "cameras.txt"
    path.write_text(COLMAP_FILE, encoding="utf-8")
    with pytest.raises(ValueError, match=r"cameras\.txt: 3 cameras; give camera_id \(1, 2, 7\)"):
        Camera.from_colmap(path)
    with pytest.raises(ValueError, match="no camera 3; there are: 1, 2, 7"):
        Camera.from_colmap(path, 3)
    with pytest.raises(ValueError, match=r"nowhere\.txt: cannot be read"):
        Camera.from_colmap(tmp_path / "nowhere.txt")
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'hello' is no camera; expected: ID MODEL"):
        Camera.from_colmap(path)


FOCAL, FOCAL_35, PLANE_X, PLANE_Y, PLANE_UNIT, TAKEN_X, TAKEN_Y = 0x920A, 0xA405, 0xA20E, 0xA20F, 0xA210, 0xA002, 0xA003


def photo(path: Path, size: tuple[int, int], tags: dict[int, Any], orientation: int = 1) -> Path:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update(tags)
    PIL.Image.new("RGB", size).save(path, exif=exif)
    return path


def test_from_exif_by_the_equivalent_focal_length(tmp_path: Path) -> None:
    # 26 mm on film of 43.27 mm: the diagonal of 400 × 300 pixels is 500.
    path = photo(tmp_path / "a.jpg", (400, 300), {FOCAL_35: 26, FOCAL: 4.2})
    got = Camera.from_exif(path)
    assert (got.fx, got.fy, got.cx, got.cy) == pytest.approx((300.46, 300.46, 199.5, 149.5), abs=0.01)
    assert Camera.from_exif(PIL.Image.open(path)) == got
    turned = Camera.from_exif(photo(tmp_path / "b.jpg", (400, 300), {FOCAL_35: 26}, orientation=6))
    assert (turned.cx, turned.cy) == (149.5, 199.5)


def test_from_exif_by_the_focal_plane(tmp_path: Path) -> None:
    # 50 mm at 5000 and 4800 pixels per inch, taken with 4000 × 3000 pixels, reduced ten times.
    tags = {FOCAL: 50.0, PLANE_X: 5000.0, PLANE_Y: 4800.0, PLANE_UNIT: 2, TAKEN_X: 4000, TAKEN_Y: 3000}
    got = Camera.from_exif(photo(tmp_path / "a.jpg", (400, 300), tags))
    assert (got.fx, got.fy) == pytest.approx((50 / 25.4 * 500, 50 / 25.4 * 480), rel=1e-4)
    turned = Camera.from_exif(photo(tmp_path / "b.jpg", (400, 300), tags, orientation=8))
    assert (turned.fx, turned.fy, turned.cx) == pytest.approx((got.fy, got.fx, 149.5), rel=1e-4)
    centimetres = Camera.from_exif(photo(tmp_path / "c.jpg", (4000, 3000), tags | {PLANE_UNIT: 3}))
    assert centimetres.fx == pytest.approx(25000, rel=1e-4)


def test_photos_that_do_not_say_their_focal_length(tmp_path: Path) -> None:
    for number, tags in enumerate(({}, {FOCAL: 4.2}, {FOCAL_35: 0})):
        path = photo(tmp_path / f"{number}.jpg", (40, 30), tags)
        with pytest.raises(ValueError, match=rf"{number}\.jpg: EXIF holds neither .* Camera.from_fov"):
            Camera.from_exif(path)
    cropped = photo(tmp_path / "cropped.jpg", (300, 300), {FOCAL_35: 26, TAKEN_X: 4000, TAKEN_Y: 3000})
    with pytest.raises(ValueError, match=r"cropped\.jpg: 300 × 300 pixels, but EXIF says that 4000 × 3000 were taken"):
        Camera.from_exif(cropped)
    with pytest.raises(ImageError, match=r"missing\.jpg: no such file"):
        Camera.from_exif(tmp_path / "missing.jpg")
    (tmp_path / "text.jpg").write_text("no photo", encoding="utf-8")
    with pytest.raises(ImageError, match=r"text\.jpg: not an image"):
        Camera.from_exif(tmp_path / "text.jpg")
