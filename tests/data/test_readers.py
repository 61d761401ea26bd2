from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from jvcr.data.formats.aflw2000 import read_aflw2000
from jvcr.data.formats.pts import read_pts
from jvcr.data.formats.readers import READERS, read_samples
from jvcr.data.formats.w300lp import read_300w_lp
from jvcr.data.reading import Samples, points_from
from jvcr.data.sample import Sample
from jvcr.geometry import head_pose
from jvcr.images import ImageError
from jvcr.markups.markup import MARKUP_66

MakeLayout = Callable[[str], Any]
DATA = Path(os.environ.get("JVCR_DATA", "JVCR_DATA is not set"))


def by_name(samples: Iterator[Sample]) -> dict[str, Sample]:
    return {sample.name: sample for sample in samples}


def refuses_in_turn(samples: Iterator[Sample], *messages: str) -> None:
    for message in messages:
        with pytest.raises(ValueError, match=message):
            next(samples)


def test_every_layout_gives_the_same_frame(layout: Any) -> None:
    samples = read_samples(layout.format, layout.root, **layout.options)
    assert len(samples) == len(layout.points)
    read = by_name(samples)
    assert list(read) == list(layout.points)
    for name, expected in layout.points.items():
        sample = read[name]
        np.testing.assert_allclose(sample.points_img, expected, atol=2e-4)
        assert sample.image.shape == (96, 110, 3)
        assert (sample.source != "", sample.group != "", sample.provenance != "") == (True, True, True)
        assert sample.markup.n_points == len(expected)
        assert sample.file is not None and sample.file.is_file()


def test_points_by_hand() -> None:
    np.testing.assert_array_equal(points_from([[1, 1, 5], [4, 3, 7]], 1, "towards"), [[0, 0, 1], [3, 2, -1]])
    np.testing.assert_array_equal(points_from([[1, 1, 5], [4, 3, 7]], 0, "away"), [[1, 1, -1], [4, 3, 1]])
    nan = np.nan
    # A landmark that is not marked does not count for the mean of z.
    half = points_from([[1, 1, 5], [nan, nan, 1], [2, 2, 7]], 0, "away")
    np.testing.assert_array_equal(half, [[1, 1, -1], [nan, nan, nan], [2, 2, 1]])
    np.testing.assert_array_equal(points_from([[1, 2, nan]], 0, "away"), [[1, 2, nan]])


@pytest.mark.parametrize(
    ("raw", "complete", "message"),
    [
        (
            [[1, 1, 5], [np.nan, 3, 1]],
            False,
            r"landmark 1 \(from 0\) has NaN in one of x and y.*found \[nan, 3\.0, 1\.0\]",
        ),
        ([[1, np.nan], [4, 3]], False, r"landmark 0 \(from 0\) has NaN in one of x and y"),
        ([[1, 1], [4, np.inf]], False, r"landmark 1 \(from 0\) is infinite"),
        ([[1, 1, -np.inf], [4, 3, 2]], False, r"landmark 0 \(from 0\) is infinite"),
        ([[1, 1, 5], [4, 3, np.nan], [2, 2, 1]], False, r"landmark 1 \(from 0\) has NaN in z, but others have a depth"),
        ([[1, 1], [np.nan, np.nan]], True, r"landmark 1 \(from 0\) is NaN; in this format every landmark"),
        ([[1, 1, np.nan]], True, r"landmark 0 \(from 0\) is NaN"),
    ],
)
def test_half_a_landmark_is_refused(raw: list[list[float]], complete: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        points_from(raw, 0, "away", complete)


def test_landmarks_that_are_not_numbers_are_named_with_their_file(make_layout: MakeLayout) -> None:
    root = make_layout("aflw2000-3d").root
    for number, (where, value) in enumerate((((0, 7), np.nan), ((2, 7), np.inf))):
        values = scipy.io.loadmat(root / f"image0000{number}.mat")
        values["pt3d_68"] = values["pt3d_68"].astype(float)
        values["pt3d_68"][where] = value
        scipy.io.savemat(root / f"image0000{number}.mat", {k: v for k, v in values.items() if k[0] != "_"})
    values = scipy.io.loadmat(root / "image00002.mat")
    values["Pose_Para"][0, 1] = np.nan
    scipy.io.savemat(root / "image00002.mat", {k: v for k, v in values.items() if k[0] != "_"})
    samples = read_aflw2000(root)
    refuses_in_turn(
        samples,
        r"image00000\.mat: pt3d_68: landmark 7 \(from 0\) is NaN",
        r"image00001\.mat: pt3d_68: landmark 7 \(from 0\) is infinite",
        r"image00002\.mat: Pose_Para's angles are \[0\.0, nan, 0\.0\]",
    )


def test_reannotated_labels_are_checked(make_layout: MakeLayout) -> None:
    root = make_layout("aflw2000-3d").root
    with np.load(root / "reannotated.npz") as file:
        names, points = file["id"], file["points2d"]
    points[2, 5, 1] = np.nan
    np.savez(root / "reannotated.npz", id=names, points2d=points)
    with pytest.raises(ValueError, match=r"reannotated\.npz: the landmarks of image00002 are not all finite"):
        read_aflw2000(root, labels="reannotated")
    np.savez(root / "reannotated.npz", id=names, points2d=points[:, :66])
    with pytest.raises(ValueError, match=r"reannotated\.npz: points2d .*\(4, 66, 2\); expected .*\(4, 68, 2\)"):
        read_aflw2000(root, labels="reannotated")


@pytest.mark.parametrize("name", ["csv", "npz", "pts", "authors-json", "3dfaw"])
def test_every_format_names_the_file_of_half_a_landmark(make_layout: MakeLayout, name: str) -> None:
    layout = make_layout(name)
    if name == "csv":
        path = layout.root / "faces.csv"
        lines = path.read_text().splitlines()
        fields = lines[1].split(",")
        lines[1] = ",".join([*fields[:-3], "", *fields[-2:]])  # x of the last landmark
        path.write_text("\n".join(lines))
    elif name == "npz":
        with np.load(layout.root / "faces.npz") as file:
            arrays = dict(file)
        arrays["points"][0, 4, 0] = np.nan
        np.savez(layout.root / "faces.npz", **arrays)
    elif name == "authors-json":
        path = layout.root / "faces.json"
        entries = json.loads(path.read_text())
        entries[0]["landmarks"][4] = [float("nan")] * 3
        path.write_text(json.dumps(entries))
    else:
        path = sorted(layout.root.rglob("*.pts" if name == "pts" else "*_3d.csv"))[0]
        lines = path.read_text().splitlines()
        number = 4 + (3 if name == "pts" else 1)
        parts = lines[number].replace(",", " ").split()
        lines[number] = " ".join(["nan", *parts[1:]])
        path.write_text("\n".join(lines))
    samples = read_samples(layout.format, layout.root, **layout.options)
    with pytest.raises(ValueError, match=r"(faces\.|face\[0\]\.pts|a_3d\.csv).*landmark 4 \(from 0\)"):
        next(samples)
    next(samples)


def test_iterating_goes_on_after_a_sample_that_cannot_be_read() -> None:
    face = Sample("2", np.zeros((1, 1, 3), np.uint8), np.zeros((68, 3), np.float32))

    def read(number: int) -> Sample:
        if number == 1:
            raise ImageError("number 1")
        return face

    samples = Samples([1, 2], read)
    with pytest.raises(ImageError, match="number 1"):
        next(samples)
    assert list(samples) == [face]


# --- The registry


@pytest.mark.parametrize(
    ("name", "meant"), [("300wlp", "300w-lp"), ("AFLW2000", "aflw2000-3d"), ("cocco", "coco"), ("3DFAW", "3dfaw")]
)
def test_unknown_format(name: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"format '{name}' is unknown \(did you mean '{meant}'\?\); expected aflw2000"
    ):
        read_samples(name, tmp_path)


def test_unknown_option_and_value(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"option 'bas' of format pts is unknown \(did you mean 'base'\?\)"):
        read_samples("pts", tmp_path, bas=1)
    with pytest.raises(
        ValueError, match=r"option z='toward': unknown \(did you mean 'towards'\?\); expected towards, away"
    ):
        read_samples("pts", tmp_path, z="toward")
    with pytest.raises(ValueError, match="option base='one': expected a number"):
        read_samples("pts", tmp_path, base="one")
    with pytest.raises(ValueError, match="option flips='maybe': expected true or false"):
        read_samples("300w-lp", tmp_path, flips="maybe")
    with pytest.raises(FileNotFoundError, match="no-markup"):
        read_samples("pts", tmp_path, markup="no-markup.toml")
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        read_samples("pts", tmp_path / "nowhere")


@pytest.mark.parametrize("format", READERS)
def test_an_empty_folder_is_named(format: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        read_samples(format, tmp_path)


# --- AFLW2000-3D


def test_aflw2000_label_sets_and_yaws(make_layout: MakeLayout) -> None:
    layout = make_layout("aflw2000-3d")
    first, *_, last = read_aflw2000(layout.root, labels="reannotated")
    # Reannotated labels are 0-based; those of the fixture lie 2 px further right and down.
    np.testing.assert_allclose(first.points_img[:, :2], layout.points["image00000"][:, :2] + 2, atol=1e-4)
    assert not first.has_depth
    assert (first.yaw_deg, last.yaw_deg) == (pytest.approx(-50), pytest.approx(65))
    np.save(layout.root / "AFLW2000-3D.pose.npy", np.array([52.0, 13.0, 19.0, -70.0]))
    own = [sample.yaw_deg for sample in read_aflw2000(layout.root, yaw="aflw")]
    # Its magnitude, with the sign of the fitted yaw.
    assert own == [-52, -13, 19, 70]


def test_aflw_yaws_in_files_of_each_kind(make_layout: MakeLayout) -> None:
    root = make_layout("aflw2000-3d").root

    def yaws(path: Path, **more: Path) -> list[float]:
        return [sample.yaw_deg for sample in read_aflw2000(root, yaw="aflw", yaw_file=path, **more)]

    with pytest.raises(FileNotFoundError, match=r"AFLW's own yaws are not part .* yaw_file=FILE"):
        next(read_aflw2000(root, yaw="aflw"))
    names = [f"image0000{number}" for number in range(4)]
    np.savez(root / "a.npz", id=np.array([*names, "image9"]), yaw=np.array([1.0, 2, 3, 4, 5]))
    assert yaws(root / "a.npz") == [-1, -2, 3, 4]
    (root / "b.csv").write_text("id,yaw\n" + "".join(f"{name}.jpg,{10 + k}\n" for k, name in enumerate(names)))
    assert yaws(root / "b.csv") == [-10, -11, 12, 13]
    (root / "c.csv").write_text("id,yaw\nimage00000,1\n")
    with pytest.raises(ValueError, match=r"c\.csv: no yaw for 3 images, e\.g\. image00001"):
        yaws(root / "c.csv")
    np.save(root / "all.npy", np.arange(2000.0) % 90)
    with pytest.raises(ValueError, match=r"all\.npy: shape \(2000,\) for 4 images; .* yaw_names=FILE"):
        yaws(root / "all.npy")
    others = [f"image{number:05}.jpg" for number in range(1999, -1, -1)]
    (root / "names.txt").write_text("\n".join(others))
    # Row 1999 of the file is image00000, and 1999 % 90 = 19.
    assert yaws(root / "all.npy", yaw_names=root / "names.txt") == [-19, -18, 17, 16]


def test_aflw2000_bad_files_are_named(make_layout: MakeLayout) -> None:
    root = make_layout("aflw2000-3d").root
    (root / "image00000.mat").write_bytes(b"no matlab")
    scipy.io.savemat(root / "image00001.mat", {"pt3d_68": np.zeros((3, 66)), "Pose_Para": np.zeros((1, 7))})
    (root / "image00002.jpg").unlink()
    samples = read_aflw2000(root)
    refuses_in_turn(
        samples,
        r"image00000\.mat: cannot be read",
        r"image00001\.mat: pt3d_68 has shape",
        r"image00002\.jpg: no su",
    )
    assert next(samples).name == "image00003"


# --- 300W-LP


def test_300w_lp_groups_photos_and_takes_the_yaw_that_is_there(
    make_layout: MakeLayout, heads: list[NDArray[np.float32]]
) -> None:
    layout = make_layout("300w-lp")
    values = {"Pose_Para": np.array([[0, np.radians(-33), 0, 0, 0, 0, 1.0]])}
    scipy.io.savemat(layout.root / "IBUG" / "IBUG_image_003_1_2.mat", values)
    samples = list(read_300w_lp(layout.root))
    # Computed yaws are those of the order "zyx"; the heads were turned by -50, -15 and 65 with yaw first.
    expected = [head_pose(head).angles("zyx").yaw_deg for head in heads]
    expected[2] = 33
    assert [sample.yaw_deg for sample in samples] == pytest.approx(expected, abs=0.01)
    assert expected == pytest.approx([-50, -15, 33, 65], abs=0.5)
    assert {sample.group for sample in samples} == {"IBUG/IBUG_image_003"}
    assert {sample.source for sample in samples} == {"300wlp-ibug"}


def test_300w_lp_flips(make_layout: MakeLayout) -> None:
    layout = make_layout("300w-lp")
    flip = layout.root / "IBUG_Flip"
    flip.mkdir()
    for path in (layout.root / "IBUG").iterdir():
        (flip / path.name).write_bytes(path.read_bytes())
    samples = list(read_300w_lp(layout.root, flips=True))
    assert [sample.name for sample in samples[3:5]] == ["IBUG/IBUG_image_003_1_3", "IBUG_Flip/IBUG_image_003_1_0"]
    there, back = samples[0], samples[4]
    # 110 pixels wide: column x becomes 109 − x, and the right eye's corner takes the place of the left one's.
    assert back.points_img[45, 0] == pytest.approx(109 - there.points_img[36, 0])
    np.testing.assert_array_equal(back.points_img[45, 1:], there.points_img[36, 1:])
    # A mirrored head has the opposite yaw.
    assert there.yaw_deg == pytest.approx(-50, abs=0.5)
    assert (back.yaw_deg, back.group) == (pytest.approx(-there.yaw_deg, abs=0.05), there.group)


def test_300w_lp_faces_without_depth(make_layout: MakeLayout) -> None:
    root = make_layout("300w-lp").root
    for number in (0, 1):
        for folder, ending in (("IBUG", ".jpg"), ("landmarks/IBUG", "_pts.mat")):
            old = root / folder / f"IBUG_image_003_1_{number}{ending}"
            old.with_name(f"IBUG_image_004_{number}{ending}").write_bytes(old.read_bytes())
    with pytest.raises(
        ValueError, match=r"depth of 1 faces cannot be recovered \(IBUG/IBUG_image_004: 2 views .* unsolv"
    ):
        read_300w_lp(root)
    samples = read_300w_lp(root, unsolved="skip")
    assert len(samples) == 4
    assert [name for name, _ in samples.left_out] == ["IBUG/IBUG_image_004_0", "IBUG/IBUG_image_004_1"]
    assert samples.notes[0].startswith("1 faces (2 images) left out, no depth: IBUG/IBUG_image_004: 2 views")
    names = [f"IBUG_image_003_1_{number}" for number in range(4)] + ["IBUG/IBUG_image_004_0", "IBUG/IBUG_image_004_1"]
    given = np.arange(6 * 68.0).reshape(6, 68) ** 2
    np.savez(root / "z.npz", id=np.array(names), z=given)
    samples = list(read_300w_lp(root, depth=root / "z.npz", subsets="IBUG"))
    np.testing.assert_allclose(samples[5].points_img[:, 2], given[5].mean() - given[5], rtol=1e-6)
    np.savez(root / "points.npz", id=np.array(names[:5]), points=np.zeros((5, 68, 3)))
    with pytest.raises(ValueError, match=r"points\.npz: no finite z for 1 of 6 images, e\.g\. IBUG/IBUG_image_004_1"):
        read_300w_lp(root, depth=root / "points.npz")


def test_300w_lp_a_damaged_label_file_costs_its_own_image(make_layout: MakeLayout) -> None:
    root = make_layout("300w-lp").root
    labels = root / "landmarks" / "IBUG"
    (labels / "IBUG_image_003_1_1_pts.mat").write_bytes(b"junk")
    samples = read_300w_lp(root)
    assert len(samples) == 4
    assert [next(samples).name[-1] for _ in range(3)] == ["0", "2", "3"]
    with pytest.raises(ValueError, match=r"IBUG_image_003_1_1_pts\.mat: cannot be read"):
        next(samples)
    # With two bad ones, two views remain: too few for depth, but the data set has other faces.
    points = scipy.io.loadmat(labels / "IBUG_image_003_1_0_pts.mat")["pts_3d"]
    points[3, 1] = np.nan
    scipy.io.savemat(labels / "IBUG_image_003_1_0_pts.mat", {"pts_3d": points})
    samples = read_300w_lp(root)
    messages = []
    for _ in range(4):
        with pytest.raises(ValueError) as error:
            next(samples)
        messages.append(str(error.value))
    assert "landmark 3 (from 0) is NaN" in messages[0] and "cannot be read as a MATLAB file" in messages[1]
    assert all("no depth: 2 views" in message and "cannot be read" in message for message in messages[2:])


def test_300w_lp_names_what_is_missing(make_layout: MakeLayout, tmp_path: Path) -> None:
    root = make_layout("300w-lp").root
    with pytest.raises(FileNotFoundError, match="no subset AFW; found IBUG"):
        read_300w_lp(root, subsets="IBUG,AFW")
    with pytest.raises(FileNotFoundError, match="landmarks: no such folder; expected 300W-LP"):
        read_300w_lp(tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data: {DATA} is not a folder")
def test_recovered_depth_on_real_faces() -> None:
    with np.load(DATA / "labels.npz") as labels:
        reference = dict(zip(labels["id"].tolist(), labels["points"].astype(np.float64), strict=True))
    samples = read_300w_lp(DATA / "300w-lp-sample")
    assert len(samples) == 318
    for sample in samples:
        truth = reference["ibuglp" + sample.name.removeprefix("IBUG/IBUG_image")]
        mine = sample.points_img * np.array([1, 1, -1.0])
        truth, mine = truth - truth.mean(axis=0), mine - mine.mean(axis=0)
        # The reference is in pixels of a crop: its size and place come from x and y alone.
        mine *= (mine[:, :2] * truth[:, :2]).sum() / (mine[:, :2] ** 2).sum()
        side = np.ptp(truth[:, :2], axis=0).max()
        assert np.abs(mine - truth).max() < 2e-4 * side, sample.name


# --- The others


def test_3dfaw_box_split_and_group(make_layout: MakeLayout) -> None:
    layout = make_layout("3dfaw")
    samples = list(read_samples("3dfaw", layout.root, **layout.options))
    assert [(sample.split, sample.group) for sample in samples[1:3]] == [("train", "p1"), ("val", "p2")]
    assert samples[0].markup == MARKUP_66
    # x, y, width, height 21 11 60 70, 1-based.
    assert samples[0].given_box is not None
    assert samples[0].given_box.to_list() == [20, 10, 80, 80]
    with pytest.raises(ValueError, match=r"a\.csv: no such file; set where the labels are: options landmarks"):
        next(read_samples("3dfaw", layout.root))
    with pytest.raises(
        ValueError, match=r"a_box\.txt: 1 lines of numbers, the shortest of 4; expected 66 of at least 3"
    ):
        next(read_samples("3dfaw", layout.root, landmarks="{stem}_box.txt"))
    for wrong in ({"images": "/x/*.jpg"}, {"landmarks": "{name}.csv"}):
        with pytest.raises(ValueError, match=r"the layout's patterns .* cannot be used"):
            read_samples("3dfaw", layout.root, **wrong)
    for wrong, message in (({"columns": "0,1"}, "three numbers"), ({"group": "("}, "not a regular expression")):
        with pytest.raises(ValueError, match=message):
            read_samples("3dfaw", layout.root, **wrong)


def test_authors_json_box_and_split(make_layout: MakeLayout) -> None:
    layout = make_layout("authors-json")
    first, second, *_ = read_samples("authors-json", layout.root, **layout.options)
    assert (first.split, second.split) == ("train", "val")
    assert first.given_box is not None
    # Centre (53, 46) 1-based, side 200 · 0.4 = 80.
    assert first.given_box.to_list() == [12, 5, 92, 85]
    (layout.root / "other.json").write_text(json.dumps([{"img_paths": "a.jpg"}]))
    with pytest.raises(ValueError, match=r"2 \*\.json files \(faces\.json, other\.json, …\); give one of them"):
        read_samples("authors-json", layout.root)
    with pytest.raises(ValueError, match=r"other\.json: entry 0 has \['img_paths'\]; expected img_paths and landmarks"):
        read_samples("authors-json", layout.root / "other.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a .pts file"),
        ("version: 1\nn_points: 3\n{\n1 2\n3 4\n}\n", "n_points says 3; found numbers of shape"),
        ("version: 1\nn_points: 2\n{\n1 2\n3 four\n}\n", "not a .pts file .*four"),
        ("version: 1\nn_points: 2\n{\n1 2\n3\n}\n", "not a .pts file"),
        ("n_points: 1\n{\n1\n}\n", "n_points says 1; found numbers of shape"),
    ],
)
def test_damaged_pts(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.pts").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.pts: {message}"):
        read_pts(tmp_path / "a.pts")


def test_pts_without_its_image(make_layout: MakeLayout) -> None:
    root = make_layout("pts").root
    (root / "set" / "face[1].jpg").rename(root / "set" / "face[1].txt")
    (root / "set" / "face[2].png").write_bytes(b"a second one")
    samples = read_samples("pts", root)
    next(samples)
    with pytest.raises(ValueError, match="expected one image of this name beside it, found none"):
        next(samples)
    with pytest.raises(ValueError, match=r"found face\[2\]\.jpg, face\[2\]\.png"):
        next(samples)


def test_coco_visibility_and_notes(make_layout: MakeLayout) -> None:
    layout = make_layout("coco")
    samples = read_samples("coco", layout.root, **layout.options)
    assert samples.notes == ("1 annotations left out: no marked landmark",)
    last = list(samples)[-1]
    assert np.isnan(last.points_img).sum() == 3 + 4
    assert last.given_box is not None and last.given_box.to_list() == [20, 10, 80, 80]
    assert last.markup.name == "five"
    with pytest.raises(ValueError, match=r"annotation 10 .*: 5 points a face; .* markup=FILE\.toml"):
        next(read_samples("coco", layout.root))


def test_coco_file_of_another_form(make_layout: MakeLayout) -> None:
    path = make_layout("coco").root / "person.json"
    for content, message in (
        ([], "expected an object with images and annotations"),
        ({"images": [{"id": 1}], "annotations": []}, "KeyError.*file_name"),
        ({"images": [], "annotations": []}, "none of 0 annotations has a marked landmark in 'keypoints'"),
        (
            {"images": [], "annotations": [{"id": 5, "image_id": 7, "keypoints": [1, 1, 2]}]},
            "annotation 5 has image_id 7",
        ),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"person\.json: .*{message}"):
            read_samples("coco", path)


def test_csv_columns(make_layout: MakeLayout) -> None:
    layout = make_layout("csv")
    _, second, third, _ = read_samples("csv", layout.root, **layout.options)
    assert (second.group, second.split, second.weight, second.yaw_deg) == ("person0", "train", 0.5, 10.0)
    assert (third.group, third.split) == ("person1", "val")
    path = layout.root / "faces.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace("0.5", "half", 1)]))
    with pytest.raises(ValueError, match=r"faces\.csv: line 2 \(0\.png\): .*half"):
        next(read_samples("csv", layout.root, **layout.options))
    path.write_text("\n".join([lines[0], lines[1], lines[1]]))
    with pytest.raises(ValueError, match=r"faces\.csv: id 'face\.0' occurs 2 times"):
        read_samples("csv", layout.root, **layout.options)
    path.write_text(lines[0].replace("y3", "why3") + "\n" + lines[1])
    with pytest.raises(ValueError, match=r"faces\.csv: expected a header .* missing y3"):
        read_samples("csv", layout.root, **layout.options)


def test_npz_shapes(make_layout: MakeLayout) -> None:
    path = make_layout("npz").root / "faces.npz"
    np.savez(path, image=np.array(["a"]), points=np.zeros((1, 68)))
    with pytest.raises(ValueError, match=r"faces\.npz: points have shape \(1, 68\); expected \(M, N, 2\)"):
        read_samples("npz", path)
    np.savez(path, image=np.array(["a"]), points=np.zeros((1, 68, 3)), box=np.zeros((1, 5)))
    with pytest.raises(ValueError, match=r"faces\.npz: box has shape \(1, 5\); expected \(1, 4\)"):
        read_samples("npz", path)
    path.write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match=r"faces\.npz: cannot be read"):
        read_samples("npz", path)


def test_names_are_sorted_and_different(layout: Any) -> None:
    names = [sample.name for sample in read_samples(layout.format, layout.root, **layout.options)]
    assert all(a < b for a, b in pairwise(names))
