"""The dataset doctor: a clean set, and each fault planted in it alone."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.data.derive import derived_points
from jvcr.data.doctor.check import check
from jvcr.data.doctor.entries import SampleSource, TableSource
from jvcr.data.doctor.report import FAULTS, Report
from jvcr.data.reading import Samples
from jvcr.data.sample import Sample
from jvcr.frames import mirrored, resized
from jvcr.images import ImageError
from jvcr.markups.file import markup_from
from jvcr.markups.markup import MARKUP_66, MARKUP_68, Markup

MakeHead = Callable[..., NDArray[np.float32]]
WIDTH, HEIGHT = 170, 150
YAWS_DEG = (0, -15, 25, -35, 50, -60, 75, 10, -80, 5, 20, -45)
MIRROR = list(MARKUP_68.mirror)


def picture(seed: int, points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A background that no other seed has, with a disc at every landmark."""
    noise = np.random.default_rng(seed).integers(0, 256, (13, 15, 3), np.uint8)
    image = np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)
    for x, y, _ in points:
        cv2.circle(image, (round(float(x)), round(float(y))), 2, (250, 240, 30), -1)
    return image


def encoded(image: NDArray[np.uint8]) -> bytes:
    """PNG, whatever a member's name says: the content decides, and it is quick."""
    return cv2.imencode(".png", image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


@dataclass
class Faces:
    """A small table, to plant a fault in before it is written. Points have z away from the camera."""

    points: NDArray[np.float32]
    images: list[NDArray[np.uint8]]
    names: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    members: dict[str, bytes] = field(default_factory=dict)
    more: dict[str, NDArray[Any]] = field(default_factory=dict)

    def source(self, folder: Path) -> TableSource:
        for i, image in enumerate(self.images):
            self.members.setdefault(f"face{i:02}.webp", encoded(image))
        with tarfile.open(folder / "faces.tar", "w") as archive:
            for name, data in self.members.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        np.savez(
            folder / "labels.npz",
            id=np.array(self.names),
            split=np.array(self.splits),
            points=self.points * np.array([1, 1, -1], np.float32),
            weight=np.array(self.weights, np.float32),
            source=np.array(["even" if i % 2 == 0 else "odd" for i in range(len(self.names))]),
            group=np.array(self.groups),
            **self.more,
        )
        return TableSource(folder)


@pytest.fixture
def faces(make_head: MakeHead) -> Faces:
    """Twelve heads of about 80 px in images of 170 × 150 px; the last four are validation rows."""
    points = np.stack([make_head(yaw, 3.0, -4.0, eyes_px=50, centre=(85, 72)) for yaw in YAWS_DEG])
    n = len(points)
    return Faces(
        points=points,
        images=[picture(seed, points[seed]) for seed in range(n)],
        names=[f"face{i:02}" for i in range(n)],
        splits=["train"] * (n - 4) + ["val"] * 4,
        groups=[f"person{i}" for i in range(n)],
        weights=[0.25 + 0.05 * i for i in range(n)],
    )


def found(report: Report) -> dict[str, list[str]]:
    return {finding.code: sorted(finding.names) for finding in report.findings}


def test_a_clean_table(faces: Faces, tmp_path: Path) -> None:
    report = check(faces.source(tmp_path))
    assert found(report) == {}
    assert report.exit_code(strict=True) == 0
    counts = report.counts
    assert (counts.samples, counts.groups) == (12, 12)
    assert counts.splits == {"train": 8, "val": 4}
    assert counts.sources == {"even": 6, "odd": 6}
    # |yaw| of YAWS_DEG: 0, 15, 25, 10, 5, 20 | 35, 50, 60, 45 | 75, 80; the -60 of a pitched head comes out as -60.
    assert counts.yaw_bins["60-90"] + counts.yaw_bins["30-60"] == 6
    assert counts.yaw_bins["0-30"] == 6
    assert counts.image_sizes == {"170×150": 12}
    assert counts.box_px is not None
    assert 60 < counts.box_px[0] <= counts.box_px[1] <= counts.box_px[2] < 110


def nan(f: Faces) -> None:
    f.points[3, 7, 2] = np.nan


def infinite(f: Faces) -> None:
    f.points[3, 0, 0] = np.inf


def not_an_image(f: Faces) -> None:
    f.members["face03.webp"] = b"this is no picture"


def truncated(f: Faces) -> None:
    data = encoded(f.images[3])
    f.members["face03.webp"] = data[: len(data) // 2]


def missing(f: Faces) -> None:
    f.members = {f"face{i:02}.webp": encoded(image) for i, image in enumerate(f.images) if i != 3}
    f.images = []


def outside_image(f: Faces) -> None:
    # The jaw's lowest point comes to lie under the last row.
    f.points[3, :, 1] += HEIGHT - f.points[3, 8, 1]


def face_outside_image(f: Faces) -> None:
    f.points[3, :, 0] += 120


def outside_volume(f: Faces) -> None:
    f.points[3, :, 2] *= 2.5


def mirrored_label(f: Faces) -> None:
    # Flipped with the image, but left and right keep their numbers.
    f.points[3] = mirrored(f.points[3], WIDTH)
    f.images[3] = np.ascontiguousarray(f.images[3][:, ::-1])


def exchanged(f: Faces) -> None:
    f.points[3, [30, 8]] = f.points[3, [8, 30]]


def exchanged_nearby(f: Faces) -> None:
    f.points[3, [36, 37]] = f.points[3, [37, 36]]


def reversed_jaw(f: Faces) -> None:
    f.points[3, :17] = f.points[3, 16::-1]


def depth_sign(f: Faces) -> None:
    f.points[3, :, 2] *= -1


def both_signs(f: Faces) -> None:
    f.points[3] = f.points[3, MIRROR] * np.array([1, 1, -1], np.float32)


def y_up(f: Faces) -> None:
    f.points[3, :, 1] = HEIGHT - 1 - f.points[3, :, 1]


def one_point_off(f: Faces) -> None:
    # 50 px between the outer eye corners: 0.9 of them.
    f.points[3, 30, 0] += 45


def no_head(f: Faces) -> None:
    f.points[3, :, :] = np.random.default_rng(5).uniform((50, 40, -20), (120, 110, 20), (68, 3))


def flat(f: Faces) -> None:
    f.points[3, :, 2] = 4


def empty_box(f: Faces) -> None:
    f.points[3] = (70, 60, 0)


def tiny(f: Faces) -> None:
    f.points[3] = (f.points[3] - (85, 72, 0)) / 4 + (85, 72, 0)


def weight(f: Faces) -> None:
    f.weights[3] = 1.2


def weight_zero(f: Faces) -> None:
    f.weights[3] = 0.0


def unknown_openings(f: Faces) -> None:
    f.more["openings"] = np.array(["hand", "model", "", "guess", *["mesh"] * (len(f.names) - 4)])


def unknown_visibility(f: Faces) -> None:
    f.more["visibility"] = np.zeros(f.points.shape[:2], np.int8)
    f.more["visibility"][3, 9] = 5


def hand_marks_elsewhere(f: Faces) -> None:
    # A few landmarks may well lie apart: the hand-marked jaw is another one than ours.
    marks = f.points[..., :2] + 1.0
    marks[:, :17] += 20
    marks[3, :, 0] += 12
    f.more["hand2d"] = marks


def blank(f: Faces) -> None:
    f.images[3] = np.full_like(f.images[3], 90)


def upside_down(f: Faces) -> None:
    # Turned by 180° with its image: x and y are negated about the image's middle.
    f.points[3, :, :2] = (WIDTH - 1, HEIGHT - 1) - f.points[3, :, :2]


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (nan, "not-finite"),
        (infinite, "not-finite"),
        (not_an_image, "unreadable-image"),
        (truncated, "unreadable-image"),
        (missing, "missing-image"),
        (outside_image, "point-outside-image"),
        (face_outside_image, "face-outside-image"),
        (outside_volume, "point-outside-volume"),
        (mirrored_label, "mirrored"),
        (exchanged, "mis-ordered"),
        (exchanged_nearby, "mis-ordered"),
        (reversed_jaw, "mis-ordered"),
        (depth_sign, "depth-sign"),
        (both_signs, "turned-away"),
        (y_up, "y-up"),
        (one_point_off, "point-off"),
        (no_head, "shape-off"),
        (flat, "flat-depth"),
        (empty_box, "empty-box"),
        (tiny, "tiny-face"),
        (weight, "weight-out-of-range"),
        (weight_zero, "weight-out-of-range"),
        (unknown_openings, "unknown-openings"),
        (unknown_visibility, "unknown-visibility"),
        (hand_marks_elsewhere, "hand-marks-elsewhere"),
        (blank, "blank-image"),
        (upside_down, "upside-down"),
    ],
)
def test_a_fault_of_one_sample(faces: Faces, tmp_path: Path, plant: Callable[[Faces], None], code: str) -> None:
    plant(faces)
    report = check(faces.source(tmp_path))
    assert found(report) == {code: ["face03"]}
    (finding,) = report.findings
    assert finding.cases[0].row == 3
    is_error = FAULTS[code].severity == "error"
    assert report.exit_code() == int(is_error)
    assert report.exit_code(strict=True) == 1


def test_arrays_of_landmarks_have_the_labels_shape(faces: Faces, tmp_path: Path) -> None:
    faces.more["hand2d"] = np.zeros((len(faces.names), 5, 2))
    report = check(faces.source(tmp_path))
    (finding,) = report.findings
    assert finding.code == "bad-labels" and "hand2d is float64 of shape (12, 5, 2)" in finding.cases[0].detail


def test_the_landmarks_that_are_wrong_are_named(faces: Faces, tmp_path: Path) -> None:
    exchanged(faces)
    faces.points[5, 57, 1] += 40
    report = check(faces.source(tmp_path))
    swapped, off = report.of("mis-ordered"), report.of("point-off")
    assert swapped is not None and off is not None
    assert swapped.cases[0].landmarks == (8, 30)
    assert swapped.cases[0].detail == "landmarks 8 and 30"
    assert off.cases[0].landmarks == (57,)


def test_all_depths_of_the_wrong_sign(faces: Faces, tmp_path: Path) -> None:
    faces.points[:, :, 2] *= -1
    # Profiles too, though a profile alone could be either of two faults: the frontal faces tell.
    assert found(check(faces.source(tmp_path))) == {"depth-sign": faces.names}


def test_all_labels_mirrored(faces: Faces, tmp_path: Path) -> None:
    faces.points = faces.points[:, MIRROR]
    assert found(check(faces.source(tmp_path))) == {"mirrored": faces.names}


def test_a_reflected_profile_alone_could_be_either(make_head: MakeHead) -> None:
    points = make_head(88, eyes_px=50, centre=(85, 72)) * np.array([1, 1, -1], np.float32)
    assert found(check(SampleSource({"": [Sample("side", picture(0, points), points)]}))) == {"reflected": ["side"]}


def jpeg_again(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)


def smaller(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)


def moved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three pixels to the right, two down."""
    return cv2.warpAffine(image, np.array([[1.0, 0, 3], [0, 1, 2]]), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)


def flipped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image[:, ::-1])


@pytest.mark.parametrize(
    ("change", "move", "detail"),
    [
        (lambda image: image, lambda points: points, "identical pixels"),
        (jpeg_again, lambda points: points, "similarity"),
        (smaller, lambda points: resized(points, 0.7) * np.array([1, 1, 0.7]), "similarity"),
        # The label stays: the two face pictures are a little apart.
        (moved, lambda points: points, "similarity"),
        (flipped, lambda points: mirrored(points, WIDTH)[MIRROR], "mirrored"),
        (
            lambda image: smaller(flipped(jpeg_again(image))),
            lambda points: resized(mirrored(points, WIDTH)[MIRROR], 0.7) * np.array([1, 1, 0.7]),
            "mirrored",
        ),
    ],
    ids=["exact", "recompressed", "resized", "moved", "mirrored", "all"],
)
@pytest.mark.parametrize(("row", "code"), [(9, "duplicate-across-splits"), (5, "duplicate-in-split")])
def test_the_same_photo_twice(
    faces: Faces,
    tmp_path: Path,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    move: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    detail: str,
    row: int,
    code: str,
) -> None:
    faces.images[row] = change(faces.images[3])
    faces.points[row] = move(faces.points[3])
    report = check(faces.source(tmp_path))
    assert found(report) == {code: [f"face03 = face{row:02}"]}
    case = report.findings[0].cases[0]
    assert (case.row, case.partner) == (3, row)
    assert detail in case.detail
    assert ("train / val" in case.detail) == (row == 9)


def test_the_same_photo_with_another_label(faces: Faces, tmp_path: Path) -> None:
    # The face pictures differ, as the labels do; the whole images tell.
    faces.images[9] = jpeg_again(faces.images[3])
    faces.points[9] = (faces.points[9] - (85, 72, 0)) * 0.7 + (80, 66, 0)
    assert found(check(faces.source(tmp_path))) == {"duplicate-across-splits": ["face03 = face09"]}


def test_two_faces_of_one_photo(faces: Faces, make_head: MakeHead, tmp_path: Path) -> None:
    left = make_head(10, eyes_px=35, centre=(45, 72))
    right = make_head(-10, eyes_px=35, centre=(125, 72))
    image = picture(99, np.concatenate([left, right]))
    for first, second, codes in ((3, 5, {}), (3, 9, {"photo-across-splits": ["face03 = face09"]})):
        several = replace(faces, images=list(faces.images), points=faces.points.copy(), members={})
        several.images[first] = several.images[second] = image
        several.points[first], several.points[second] = left, right
        assert found(check(several.source(tmp_path))) == codes


def test_views_of_one_group_may_look_alike(faces: Faces, tmp_path: Path) -> None:
    faces.images[5] = jpeg_again(faces.images[3])
    faces.points[5] = faces.points[3]
    faces.groups[5] = faces.groups[3]
    assert found(check(faces.source(tmp_path))) == {}


def test_without_comparing_images(faces: Faces, tmp_path: Path) -> None:
    faces.images[9] = faces.images[3]
    assert found(check(faces.source(tmp_path), duplicates=False)) == {}


def test_another_set_must_share_no_photo(faces: Faces, tmp_path: Path) -> None:
    points = faces.points[3] * np.array([1, 1, 1], np.float32)
    benchmark = [
        Sample("new", picture(77, points), points),
        Sample("known", jpeg_again(faces.images[3]), points),
        Sample("known too", faces.images[3], points),
    ]
    report = check(faces.source(tmp_path), against=SampleSource({"": benchmark}, title="benchmark"))
    assert sorted(found(report)["duplicate-across-splits"]) == ["face03 = known", "face03 = known too"]
    assert len(report.findings) == 1
    assert report.counts.samples == 12
    assert "train / benchmark" in report.findings[0].cases[0].detail


def test_a_group_across_the_split(faces: Faces, tmp_path: Path) -> None:
    faces.groups[9] = "person3"
    report = check(faces.source(tmp_path))
    assert found(report) == {"group-across-splits": ["person3"]}
    assert report.findings[0].cases[0].detail == "train: face03; val: face09"


def test_an_id_twice(faces: Faces, tmp_path: Path) -> None:
    faces.names[5] = "face03"
    report = check(faces.source(tmp_path))
    # The image that now has no row is a note.
    assert found(report) == {"duplicate-id": ["face03"], "unused-member": [tmp_path.name]}
    assert report.findings[0].cases[0].detail == (
        "labels.npz: array id holds 'face03' more than once; expected one row per image; rows 3, 5"
    )


def test_a_member_twice(faces: Faces, tmp_path: Path) -> None:
    source = faces.source(tmp_path)
    with tarfile.open(tmp_path / "more.tar", "w") as archive:
        member = tarfile.TarInfo("face03.webp")
        archive.addfile(member, io.BytesIO())
    report = check(source)
    assert found(report) == {"duplicate-member": ["face03"]}
    assert report.findings[0].cases[0].detail == "faces.tar and more.tar"


def test_an_archive_that_is_cut_off(faces: Faces, tmp_path: Path) -> None:
    source = faces.source(tmp_path)
    path = tmp_path / "faces.tar"
    with tarfile.open(path) as archive:
        cut = archive.getmember("face09.webp").offset_data + 100
    path.write_bytes(path.read_bytes()[:cut])
    codes = found(check(source))
    assert codes["damaged-archive"] == ["faces.tar"]
    assert codes["missing-image"] == ["face09", "face10", "face11"]
    assert set(codes) == {"damaged-archive", "missing-image"}


def test_a_damaged_header_costs_its_own_member_only(faces: Faces, tmp_path: Path) -> None:
    source = faces.source(tmp_path)
    path = tmp_path / "faces.tar"
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        header = archive.getmember("face04.webp").offset
    data[header : header + 200] = b"\xff" * 200
    path.write_bytes(data)
    assert found(check(source)) == {"missing-image": ["face04"]}


def test_a_file_that_is_no_archive(faces: Faces, tmp_path: Path) -> None:
    source = faces.source(tmp_path)
    (tmp_path / "other.tar").write_bytes(b"not an archive at all" * 60)
    assert found(check(source)) == {"damaged-archive": ["other.tar"]}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file; expected a training table"),
        (lambda path: path.write_bytes(path.read_bytes()[:-300]), "cannot be read as an .npz file of plain arrays"),
        (lambda path: np.savez(path, id=np.array(["a"])), r"'split', 'points', 'weight', 'source'"),
        (lambda path: rewrite(path, points=np.zeros((12, 68, 2))), r"float64 of shape (12, 68, 2)"),
        (lambda path: rewrite(path, weight=np.ones(11)), "array weight is float64 of shape (11,)"),
    ],
)
def test_labels_that_cannot_be_read(
    faces: Faces, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    source = faces.source(tmp_path)
    damage(tmp_path / "labels.npz")
    report = check(source)
    assert set(found(report)) == {"bad-labels", "empty-set"}
    bad = report.of("bad-labels")
    assert bad is not None
    assert message in bad.cases[0].detail
    assert report.exit_code() == 1


def rewrite(path: Path, **arrays: NDArray[np.generic]) -> None:
    with np.load(path) as file:
        values = dict(file)
    np.savez(path, **(values | arrays))


def test_many_faults_at_once(faces: Faces, tmp_path: Path) -> None:
    nan(faces)
    faces.members["face05.webp"] = b""
    faces.points[6, :, 2] *= -1
    faces.weights[7] = -0.5
    report = check(faces.source(tmp_path))
    assert found(report) == {
        "unreadable-image": ["face05"],
        "not-finite": ["face03"],
        "weight-out-of-range": ["face07"],
        # 75°: near enough to a profile, with no frontal face that is wrong to tell.
        "depth-sign": ["face06"],
    }
    values = report.to_dict()
    assert (values["errors"], values["warnings"], values["counts"]["samples"]) == (4, 0, 12)
    assert values["findings"][1]["cases"][0] == {
        "name": "face03",
        "detail": "labels.npz: row face03 has a landmark that is not finite, or incomplete: number 7 of array points",
        "row": 3,
        "partner": None,
        "landmarks": [7],
    }


def samples_of(faces: Faces) -> list[Sample]:
    return [
        Sample(name, image, points, source="mine")
        for name, image, points in zip(faces.names, faces.images, faces.points, strict=True)
    ]


def test_samples_may_lack_depth_and_landmarks(faces: Faces) -> None:
    samples = samples_of(faces)
    samples[0].points_img[:, 2] = np.nan
    samples[1].points_img[:9] = np.nan
    assert found(check(SampleSource({"": samples}))) == {}


@pytest.mark.parametrize("where", [(7, 0), (7, 2)])
def test_half_a_landmark_is_no_landmark(faces: Faces, where: tuple[int, int]) -> None:
    samples = samples_of(faces)
    samples[3].points_img[where] = np.nan
    assert found(check(SampleSource({"": samples}))) == {"not-finite": ["face03"]}


def test_a_label_without_any_landmark(faces: Faces) -> None:
    samples = samples_of(faces)
    samples[3].points_img[:] = np.nan
    assert found(check(SampleSource({"": samples}))) == {"no-landmarks": ["face03"]}


def test_mirrored_2d_labels(faces: Faces) -> None:
    samples = samples_of(faces)
    for sample in samples:
        sample.points_img[:, 2] = np.nan
    samples[1].points_img[:] = samples[1].points_img[MIRROR]
    samples[2].points_img[[8, 30]] = samples[2].points_img[[30, 8]]
    assert found(check(SampleSource({"": samples}))) == {"mirrored": ["face01"], "mis-ordered": ["face02"]}


def test_the_66_points(faces: Faces) -> None:
    keep = [i for i in range(68) if i not in (60, 64)]
    samples = [replace(sample, points_img=sample.points_img[keep], markup=MARKUP_66) for sample in samples_of(faces)]
    samples[4].points_img[:, 2] *= -1
    assert found(check(SampleSource({"": samples}))) == {"depth-sign": ["face04"]}


def test_another_markup_is_compared_with_its_own_mean(faces: Faces) -> None:
    # The face without the mouth.
    keep = tuple(range(48))
    number = {old: new for new, old in enumerate(keep)}
    markup = Markup(
        "mouthless", 48, tuple(number[MIRROR[old]] for old in keep), {}, frozenset(), (number[36], number[45])
    )
    samples = [replace(sample, points_img=sample.points_img[list(keep)], markup=markup) for sample in samples_of(faces)]
    samples[1].points_img[:, 2] *= -1
    samples[2].points_img[:] = samples[2].points_img[list(markup.mirror)]
    samples[4].points_img[[number[36], number[30]]] = samples[4].points_img[[number[30], number[36]]]
    report = check(SampleSource({"": samples}))
    assert found(report) == {
        "mirrored": ["face02"],
        "depth-sign": ["face01"],
        "mis-ordered": ["face04"],
        "not-judged": ["mouthless"],
    }


@pytest.mark.parametrize("name", ["21", "200"])
def test_a_markup_made_from_the_68_is_compared_with_the_mean_head(faces: Faces, name: str) -> None:
    markup = markup_from(name)
    samples = [
        replace(s, points_img=derived_points(s.points_img, s.markup, markup), markup=markup) for s in samples_of(faces)
    ]
    assert found(check(SampleSource({"": samples}))) == {}
    # All of them: no majority could tell.
    for sample in samples:
        sample.points_img[:, 2] *= -1
    names = sorted(sample.name for sample in samples)
    assert found(check(SampleSource({"": samples}))) == {"depth-sign": names}


def test_splits_that_nobody_reads(faces: Faces, tmp_path: Path) -> None:
    faces.splits[:3], faces.splits[4] = ["valid", "test", "valid"], ""
    report = check(faces.source(tmp_path))
    assert found(report) == {"unknown-split": ["''", "'valid'"]}
    assert {case.name: case.detail for case in report.findings[0].cases} == {"''": "1 rows", "'valid'": "2 rows"}
    assert report.exit_code(strict=False) == 1
    # Data sets that are not divided say nothing.
    assert found(check(SampleSource({"": samples_of(faces)[4:]}))) == {}


def test_what_a_reader_left_out_is_said(faces: Faces) -> None:
    samples = samples_of(faces)
    report = check(SampleSource({"": lambda: Samples(samples, lambda s: s, ["3 faces left out"])}, title="photos"))
    assert found(report) == {"reader-note": ["photos"]}
    assert report.findings[0].cases[0].detail == "3 faces left out"
    assert report.exit_code(strict=True) == 0


def test_coordinates_that_are_not_pixels(faces: Faces) -> None:
    samples = samples_of(faces)
    samples[3] = replace(samples[3], points_img=samples[3].points_img / np.float32(WIDTH))
    report = check(SampleSource({"": samples}))
    assert found(report)["speck"] == ["face03"]
    assert "tiny-face" not in found(report)


def test_too_few_labels_of_an_unknown_markup_cannot_be_judged(make_head: MakeHead) -> None:
    points = make_head(5, eyes_px=50, centre=(85, 72))[17:48]
    markup = Markup("some", 31, tuple(range(31)), {}, frozenset(), (0, 1))
    report = check(SampleSource({"": [Sample("one", picture(0, points), points, markup=markup)]}))
    assert found(report) == {"not-judged": ["some"]}
    assert report.exit_code(strict=True) == 0


def test_a_reader_that_stops(faces: Faces) -> None:
    def read() -> Iterator[Sample]:
        yield from samples_of(faces)[:5]
        raise ValueError("face05.mat: expected pt3d_68")

    report = check(SampleSource({"train": read}))
    assert report.counts.samples == 5
    assert found(report) == {"reader-error": ["train"]}
    assert report.findings[0].cases[0].detail == (
        "face05.mat: expected pt3d_68; last good sample: face04; no sample after it was seen"
    )


def test_a_reader_that_can_go_on(faces: Faces) -> None:
    samples = samples_of(faces)

    def read(i: int) -> Sample:
        if i == 3:
            raise ImageError("face03.jpg: damaged or cut off")
        if i == 6:
            raise ValueError("face06.mat: expected pt3d_68")
        return samples[i]

    report = check(SampleSource({"": lambda: map(read, range(12))}, title="photos"))
    assert report.counts.samples == 10
    assert found(report) == {"unreadable-image": ["photos"], "reader-error": ["photos"]}
    assert [f.cases[0].detail for f in report.findings] == [
        "face06.mat: expected pt3d_68; last good sample: face05",
        "face03.jpg: damaged or cut off; last good sample: face02",
    ]


def test_a_reader_that_only_fails(faces: Faces) -> None:
    class Stuck(Iterator[Sample]):
        def __next__(self) -> Sample:
            raise OSError("disk gone")

    codes = found(check(SampleSource({"": Stuck()}, title="photos")))
    assert set(codes) == {"reader-error", "empty-set"}
    assert len(codes["reader-error"]) < 10
