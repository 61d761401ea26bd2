from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jvcr.evaluate.yaw import read_yaw_file

NAMES = ["image1", "image2", "image4"]
YAW = [10.0, -45.5, 80.25]


def test_the_three_forms_say_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "yaw.npy", np.array(YAW))
    # With names, order and further images do not matter.
    np.savez(tmp_path / "yaw.npz", id=np.array(["image4", "image3", *NAMES[:2]]), yaw_deg=[80.25, 1, 10, -45.5])
    (tmp_path / "yaw.csv").write_text("\ufeffid,yaw_deg\nimage2,-45.5\nimage1,10\n\nimage4,80.25\n", encoding="utf-8")
    for ending in ("npy", "npz", "csv"):
        assert read_yaw_file(tmp_path / f"yaw.{ending}", NAMES).tolist() == YAW


def test_a_plain_array_of_another_length_cannot_be_matched(tmp_path: Path) -> None:
    np.save(tmp_path / "yaw.npy", np.zeros(2000))
    with pytest.raises(ValueError, match=r"yaw\.npy: .*\(2000,\), but there are 3 images"):
        read_yaw_file(tmp_path / "yaw.npy", NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image1,10\nimage2,5\n", "no yaw for 1 of 3 images, e.g. image4"),
        ("image1,10\nimage2,5\nimage4,-200\n", "yaw of image4 is -200"),
        ("image1,10\nimage2,5\nimage4,nan\n", "yaw of image4 is nan"),
        ("image1,10\nimage2,left\nimage4,1\n", "could not convert"),
        ("image1,10,3\n", "too many values"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "yaw.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"yaw\.csv: .*{message}"):
        read_yaw_file(tmp_path / "yaw.csv", NAMES)


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file; expected \.npy"):
        read_yaw_file(tmp_path / "yaw.csv", NAMES)
    for name in ("yaw.npy", "yaw.npz", "yaw.mat"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(ValueError, match=name):
            read_yaw_file(tmp_path / name, NAMES)
