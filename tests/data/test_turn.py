from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import jvcr.data.turn.views as turning
from jvcr.cli.app import app
from jvcr.data.convert import convert
from jvcr.data.table import Table
from jvcr.data.turn.rasterise import rasterise
from jvcr.data.turn.views import Turner, planned, turned_samples
from jvcr.geometry import head_pose, mean_shape_68, rotation_from_angles
from jvcr.markups.markup import INDICES_66_IN_68

MakeHead = Callable[..., NDArray[np.float32]]
MakeTable = Callable[..., Path]

HEIGHT, WIDTH = 240, 220
BACK = (90, 90, 90)
# On the half that a head with a positive yaw, the nose to the right, still shows: brow, eye, nose, mouth.
NEAR = (17, 18, 19, 36, 37, 38, 40, 41, 27, 28, 31, 48, 49, 59)


def colour(number: int) -> tuple[int, int, int]:
    """Far from the background and from its neighbours' colours."""
    return ((250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20), (250, 20, 250), (20, 250, 250))[number % 6]


@pytest.fixture
def head(make_head: MakeHead) -> NDArray[np.float32]:
    return make_head(eyes_px=70, centre=(112, 118))


@pytest.fixture
def dotted(head: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A grey picture with a dot of its own colour at each near landmark, and at the far corner of the far eye."""
    image = np.full((HEIGHT, WIDTH, 3), BACK, np.uint8)
    for number in (*NEAR, 45):
        cv2.circle(image, (round(float(head[number, 0])), round(float(head[number, 1]))), 2, colour(number), -1)
    return image


def colour_at(image: NDArray[np.uint8], point: NDArray[np.float32], radius: int = 1) -> list[NDArray[np.float64]]:
    """The pixels around a point."""
    x, y = round(float(point[0])), round(float(point[1]))
    return list(image[y - radius : y + radius + 1, x - radius : x + radius + 1].reshape(-1, 3).astype(np.float64))


def shows(image: NDArray[np.uint8], point: NDArray[np.float32], number: int) -> bool:
    return min(float(np.abs(pixel - colour(number)).max()) for pixel in colour_at(image, point)) < 60


# --- Turner


@pytest.mark.parametrize(("yaw", "pitch"), [(25, 0), (45, -8), (60, 9)])
def test_dots_are_where_the_landmarks_are(
    head: NDArray[np.float32], dotted: NDArray[np.uint8], yaw: float, pitch: float
) -> None:
    turned = Turner(dotted, head).turn(yaw, pitch)
    missed = [number for number in NEAR if not shows(turned.image, turned.points_img[number], number)]
    # At 60 degrees the bridge of the nose is at the outline.
    assert set(missed) <= {27, 28}
    assert yaw > 45 or not missed


def test_the_far_eye_is_hidden(head: NDArray[np.float32], dotted: NDArray[np.uint8]) -> None:
    turner = Turner(dotted, head)
    # It is there at first, and behind the nose at last.
    for yaw, visible in ((20, True), (78, False)):
        turned = turner.turn(yaw)
        assert shows(turned.image, turned.points_img[45], 45) == visible


def test_depth_between_the_landmarks() -> None:
    """A half ellipsoid whose colours say where they are, turned: what the camera would see of cheeks, nose and brow."""
    centre, axes = np.array([112.0, 100.0, 0.0]), np.array([62.0, 84.0, 76.0])
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = x, y, 0
    # Landmarks: the mean head's x and y, put on the ellipsoid.
    mean = mean_shape_68()
    points = np.column_stack([mean[:, :2] * 66 + centre[:2], mean[:, 2]])
    inner = (((points[:, :2] - centre[:2]) / axes[:2]) ** 2).sum(axis=1)
    points[:, 2] = -axes[2] * np.sqrt(np.maximum(0, 1 - inner))
    turner = Turner(image, points.astype(np.float32))
    own = turner.angles
    turned = turner.turn(own.yaw_deg + 25)
    rotation = (
        rotation_from_angles(own.yaw_deg + 25, own.pitch_deg, own.roll_deg, "zyx") @ rotation_from_angles(*own, "zyx").T
    )
    shift = turned.points_img[30, :2] - (points[30] @ rotation.T)[:2]
    offsets = []
    for sx, sy in [(92, 118), (80, 110), (85, 140), (100, 125), (120, 130), (75, 125)]:
        z = -axes[2] * np.sqrt(1 - ((sx - centre[0]) / axes[0]) ** 2 - ((sy - centre[1]) / axes[1]) ** 2)
        px, py = (np.array([sx, sy, z]) @ rotation.T)[:2] + shift
        red, green, _ = turned.image[round(py), round(px)].astype(int)
        offsets.append(np.hypot(red - sx, green - sy))
    # 66 px from eye corner to eye corner: the head's average build is off by some pixels, not more.
    assert max(offsets) < 8


@pytest.mark.parametrize(("own", "asked"), [((4, -3, 12), (52, 6)), ((-20, 8, -15), (-80, 2))])
def test_the_labels_are_turned_as_a_rigid_body(own: tuple[float, float, float], asked: tuple[float, float]) -> None:
    # The angles are in the order in which the training views are planned.
    turned = mean_shape_68() @ rotation_from_angles(*own, "zyx").T
    before = (70 * turned + (112, 118, 0)).astype(np.float32)
    after = Turner(np.zeros((HEIGHT, WIDTH, 3), np.uint8), before).turn(*asked).points_img
    np.testing.assert_allclose(head_pose(after).angles("zyx"), (*asked, own[2]), atol=0.01)
    distances = [np.linalg.norm(points[:, None] - points[None], axis=-1) for points in (before, after)]
    np.testing.assert_allclose(distances[1], distances[0], atol=1e-3)
    assert abs(float(after[:, 2].mean())) < 1e-4


def test_no_turn_changes_nothing(make_head: MakeHead) -> None:
    head = make_head(15, -6, 9, eyes_px=60, centre=(105, 112))
    noise = np.random.default_rng(0).integers(0, 256, (30, 26, 3), dtype=np.uint8)
    image = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    turner = Turner(image, head)
    turned = turner.turn(turner.angles.yaw_deg)
    assert turned.stretched == 0
    np.testing.assert_allclose(turned.points_img, head - (0, 0, head[:, 2].mean()), atol=1e-3)
    assert np.abs(turned.image.astype(int) - image).max() <= 1


def test_the_background_covers_all(head: NDArray[np.float32], dotted: NDArray[np.uint8]) -> None:
    """No hole, which would be black: the picture's darkest channel is 20."""
    for yaw in (-85, 85):
        assert Turner(dotted, head).turn(yaw, 8).image.max(axis=2).min() >= 80


def test_more_is_drawn_out_the_further_a_face_is_turned(head: NDArray[np.float32], dotted: NDArray[np.uint8]) -> None:
    shares = [Turner(dotted, head).turn(yaw).stretched for yaw in (20, 50, 80)]
    assert 0 <= shares[0] < shares[1] < shares[2] < 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head[:67], r"68 finite 3D landmarks.*\(67, 3\)"),
        (lambda head: np.where(np.arange(68)[:, None] == 5, np.nan, head), "68 finite"),
        (lambda head: head + np.array([400, 0, 0], np.float32), "outside the image of 220 × 240"),
        (lambda head: head[:, [0, 0, 2]], "on a line"),
    ],
    ids=["67 points", "nan", "outside", "line"],
)
def test_bad_landmarks(
    head: NDArray[np.float32], change: Callable[[NDArray[np.float32]], NDArray[np.float32]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Turner(np.zeros((HEIGHT, WIDTH, 3), np.uint8), change(head))


def test_bad_yaw(head: NDArray[np.float32], dotted: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="yaw 90"):
        Turner(dotted, head).turn(90)


# --- Drawing


def test_the_nearest_triangle_is_on_top() -> None:
    far, near = [[0, 0, 5], [9, 0, 5], [0, 9, 5], [9, 9, 5]], [[2, 0, 1], [9, 0, 1], [2, 7, 1]]
    triangles = np.array([[4, 5, 6], [0, 1, 2], [1, 3, 2]])
    source = np.arange(14, dtype=np.float64).reshape(7, 2)
    found, owner = rasterise(np.array(far + near, np.float64), triangles, source, 8, 6)
    assert found.shape == (6, 8, 2)
    assert [owner[0, 2], owner[1, 1], owner[5, 7]] == [0, 1, 2]
    np.testing.assert_allclose(found[0, 2], source[4])
    np.testing.assert_allclose(found[0, 0], source[0])


def test_a_gap_is_an_error() -> None:
    with pytest.raises(ValueError, match="pixels of the turned picture are not covered"):
        rasterise(np.array([[0.0, 0, 0], [5, 0, 0], [0, 5, 0]]), np.array([[0, 1, 2]]), np.zeros((3, 2)), 6, 6)


# --- Planning


def test_planned_views_are_spread_over_the_yaws() -> None:
    for yaw, low in ((3.0, 20.0), (-25.0, 35.0), (40.0, 50.0)):
        views = np.array(planned(yaw, -4.0, 5, np.random.default_rng(0)))
        edges = low + np.arange(6) * (85 - low) / 5
        assert ((np.abs(views[:, 0]) >= edges[:-1]) & (np.abs(views[:, 0]) < edges[1:])).all()
        assert (np.abs(views[:, 1] + 4) <= 10).all()
        if abs(yaw) > 10:
            assert (np.sign(views[:, 0]) == np.sign(yaw)).all()
    sides = {np.sign(yaw) for yaw, _ in planned(3.0, 0.0, 40, np.random.default_rng(1))}
    assert sides == {-1, 1}


def test_profiles_are_not_turned() -> None:
    assert planned(-76.0, 0.0, 4, np.random.default_rng(0)) == []


# --- A table


@pytest.fixture
def table(make_table: MakeTable, tmp_path: Path) -> Path:
    """Training rows face0 to face3, of sources even and odd by turns, face3 in profile; face4 and face5 are val."""
    folder = tmp_path / "faces"
    folder.mkdir()
    splits = ["train"] * 4 + ["val"] * 2
    groups = np.array(["anna", "ben", "cleo", "dora", "emil", "fay"])
    return make_table(folder, (4, -18, 30, 80, 5, -5), splits, group=groups)


def test_rows_of_the_turned_table(table: Path, tmp_path: Path) -> None:
    done = convert(turned_samples(table, ["even", "odd"], per_face=3, seed=1), tmp_path / "turned")
    before, after = Table(table, "train"), Table(tmp_path / "turned", None)
    assert done.rows + int(done.notes[0].split()[0] if "rejected" in done.notes[0] else 0) == 9
    assert set(after.splits) == {"train"}
    assert {"anna", "ben", "cleo"} >= set(after.groups)
    for row, name in enumerate(after.names):
        origin = before.names.index(name.split("-")[0])
        assert after.sources[row] == f"{before.sources[origin]}-turned"
        assert after.groups[row] == before.groups[origin]
        assert after.weights[row] == pytest.approx(0.5 * before.weights[origin])
        assert abs(after.yaw_deg[row]) >= 20
        assert head_pose(after.points[row]).angles("zyx").yaw_deg == pytest.approx(after.yaw_deg[row], abs=0.05)


def test_a_face_is_turned_alike_whatever_else_is_in_the_table(table: Path) -> None:
    both = {sample.name: sample for sample in turned_samples(table, ["even", "odd"], 1)}
    for sample in turned_samples(table, ["odd"], 1):
        assert np.array_equal(sample.image, both[sample.name].image)
        assert np.array_equal(sample.points_img, both[sample.name].points_img)
    others = [sample.yaw_deg for sample in turned_samples(table, ["odd"], 1, seed=5)]
    assert others != [sample.yaw_deg for sample in turned_samples(table, ["odd"], 1)]


def test_only_views_whose_near_eye_is_closed(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    """Three heads have the right eye, the left eye and both closed; the labels of a fourth are a model's."""
    lids = {"right": ((37, 41), (38, 40)), "left": ((43, 47), (44, 46))}
    heads = []
    for closed in (("right",), ("left",), ("right", "left"), ("right", "left")):
        points = make_head()
        for upper, lower in (pair for eye in closed for pair in lids[eye]):
            points[[upper, lower]] = points[[upper, lower]].mean(axis=0)
        heads.append(points)
    folder = make_table(
        tmp_path, (0, 0, 0, 0), ["train"] * 4, points=np.stack(heads), openings=np.array(["hand"] * 3 + ["model"])
    )
    sides: dict[str, set[float]] = {}
    for sample in turned_samples(folder, ["even", "odd"], per_face=12, closed_eyes=True):
        assert sample.openings == "hand"
        sides.setdefault(sample.name.split("-")[0], set()).add(float(np.sign(sample.yaw_deg)))
    # A positive yaw shows the person's right eye.
    assert sides == {"face0": {1.0}, "face1": {-1.0}, "face2": {1.0, -1.0}}
    with pytest.raises(ValueError, match="all are near profile, or have open eyes"):
        turned_samples(make_table(tmp_path, (0,)), ["even"], closed_eyes=True)


def test_stretched_views_are_rejected_and_counted(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning, "MAX_STRETCHED", -1.0)
    samples = turned_samples(table, ["even"], 2)
    assert list(samples) == []
    assert samples.rejected == 4
    assert samples.notes[0].startswith("4 of 4 views rejected")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": ["helen"]}, r"labels.npz: no training row has source helen; there are even, odd"),
        ({"sources": []}, "no training row has source -"),
        ({"sources": ["even"], "per_face": 0}, "0 views of each face"),
    ],
)
def test_bad_options(table: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        turned_samples(table, **options)  # type: ignore[arg-type]


def test_only_68_points(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    points = make_head()[None, INDICES_66_IN_68]
    with pytest.raises(ValueError, match="only faces of"):
        turned_samples(make_table(tmp_path, (0,), points=points), ["even"])


def test_only_profiles(make_table: MakeTable, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no face of even can be turned"):
        turned_samples(make_table(tmp_path, (80,)), ["even"])


# --- Command


def test_command(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    arguments = ["data", "turn", str(table), str(out), "--sources", "even, odd", "--per-face", "2", "--seed", "3"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    made = json.loads((out / "convert.json").read_text(encoding="utf-8"))
    assert (made["sources"], made["per_face"], made["seed"]) == (["even", "odd"], 2, 3)
    assert f"→ {out}: {len(Table(out, 'train'))} train" in done.output
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0
    assert isinstance(again.exception, FileExistsError)
