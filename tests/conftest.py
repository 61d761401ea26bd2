"""Shared fixtures: synthetic heads and a tiny training table, so that no test needs real data."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

from jvcr.geometry import mean_shape_68, rotation_from_angles

if TYPE_CHECKING:
    from jvcr.data.table import Table

# No deadline: tests must not fail because the machine is busy.
hypothesis.settings.register_profile("jvcr", deadline=None)
hypothesis.settings.load_profile("jvcr")

# Tests run in several processes at once, so none takes more than one core, nor do the commands that it starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

HAS_TORCH = importlib.util.find_spec("torch") is not None
collect_ignore: list[str] = []
if HAS_TORCH:
    import torch

    torch.set_num_threads(1)
else:
    collect_ignore += [
        "model/test_network.py",
        "model/test_checkpoint.py",
        "model/test_export.py",
        "model/test_rounding.py",
        "data/test_stream.py",
        "data/test_readers.py",
        "data/test_convert.py",
        "data/test_scenes.py",
        "paper/test_claims.py",
        "train",
    ]


def pytest_report_header() -> str | None:
    return None if HAS_TORCH else f"PyTorch is not installed, left out: {', '.join(collect_ignore)}"


MakeHead = Callable[..., NDArray[np.float32]]
MakeTable = Callable[..., Path]


def _head(
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    *,
    eyes_px: float = 30.0,
    centre: tuple[float, float] = (50.0, 44.0),
) -> NDArray[np.float32]:
    turned = mean_shape_68() @ rotation_from_angles(yaw_deg, pitch_deg, roll_deg).T
    return (eyes_px * turned + (*centre, 0.0)).astype(np.float32)


def _draw(points_img: NDArray[np.float32], shade: int) -> NDArray[np.uint8]:
    """A grey photo of 90 × 100 pixels with a disc at every landmark."""
    image = np.full((90, 100, 3), (shade, 60, 110), np.uint8)
    for number, (x, y, _) in enumerate(points_img):
        cv2.circle(image, (round(float(x)), round(float(y))), 2, (250, 255 - 3 * number, 40 + 3 * number), -1)
    return image


@pytest.fixture
def run_jvcr(monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in this process, in the folder ``cwd``. A new process imports for a second, or four with
    PyTorch, so tests start one only if they are about the process itself: its streams, signals or limits."""

    def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        from jvcr.cli.app import main

        command, code = ["jvcr", *map(str, arguments)], 0
        out, error = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            patch.setattr(sys, "argv", command)
            patch.setitem(os.environ, "COLUMNS", "200")
            patch.chdir(cwd)
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except Exception:
                traceback.print_exc()
                code = 1
        return subprocess.CompletedProcess(command, code, out.getvalue(), error.getvalue())

    return run


@pytest.fixture(scope="session")
def make_head() -> MakeHead:
    """The mean head, rotated: (68, 3) float32 image pixels with ``eyes_px`` between the outer eye corners."""
    return _head


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """Write a training table into a folder; other keywords replace arrays of ``labels.npz``, None omits one."""

    def write(
        folder: Path,
        yaws_deg: Sequence[float],
        splits: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        **arrays: Any,
    ) -> Path:
        points = np.stack([_head(yaw) for yaw in yaws_deg])
        names = list(names or (f"face{row}" for row in range(len(yaws_deg))))
        with tarfile.open(folder / "faces.tar", "w") as archive:
            for row, name in enumerate(names):
                image = _draw(points[row], 40 + 20 * row)
                # A quality over 100 is lossless.
                data = cv2.imencode(".webp", image[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
                member = tarfile.TarInfo(f"{name}.webp")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        labels = {
            "id": np.array(names),
            "split": np.array(splits or ["train"] * len(names)),
            # The file's z points towards the camera.
            "points": points * np.array([1, 1, -1], np.float32),
            "weight": np.linspace(0.5, 1.0, len(names), dtype=np.float32),
            "source": np.array(["even" if row % 2 == 0 else "odd" for row in range(len(names))]),
        } | arrays
        np.savez(folder / "labels.npz", **{key: value for key, value in labels.items() if value is not None})
        return folder

    return write


def _photo_with(boxes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A grey photo of 200 × 160 pixels with a bright ellipse, eyes and a mouth in every box."""
    image = np.full((160, 200, 3), 90, np.uint8)
    for x0, y0, x1, y1 in boxes.tolist():
        middle, half = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), np.array([x1 - x0, y1 - y0]) / 2
        cv2.ellipse(
            image, (int(middle[0]), int(middle[1])), (int(half[0]), int(half[1])), 0, 0, 360, (230, 180, 150), -1
        )
        for dx, dy in ((-0.4, -0.3), (0.4, -0.3), (0.0, 0.5)):
            x, y = middle + half * (dx, dy)
            cv2.circle(image, (int(x), int(y)), max(2, int(0.15 * half[0])), (40, 20, 20), -1)
    return image


@pytest.fixture(scope="session")
def make_photos() -> Callable[..., Path]:
    """Write photographs for the detector into a folder: ``boxes[name]`` (K, 4) of each; other keywords replace arrays
    of ``detect_labels.npz``, None leaves one out."""

    def write(folder: Path, boxes: dict[str, Any], **arrays: Any) -> Path:
        tables = {name: np.array(rows, np.float64).reshape(-1, 4) for name, rows in boxes.items()}
        with tarfile.open(folder / "photos.tar", "w") as archive:
            for name, rows in tables.items():
                data = cv2.imencode(".webp", _photo_with(rows)[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[
                    1
                ].tobytes()
                member = tarfile.TarInfo(f"{name}.webp")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        owner = np.repeat(np.arange(len(tables)), [len(rows) for rows in tables.values()])
        labels = {
            "id": np.array(list(tables)),
            "image": owner,
            "box": np.concatenate(list(tables.values())).astype(np.float32),
            "score": np.full(len(owner), 0.9, np.float32),
            "yaw_deg": np.zeros(len(owner), np.float32),
        } | arrays
        np.savez(folder / "detect_labels.npz", **{key: value for key, value in labels.items() if value is not None})
        return folder

    return write


@pytest.fixture(scope="session")
def four_faces(make_table: MakeTable, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Four rows, with at least one in each yaw bin."""
    from jvcr.data.table import Table

    return Table(make_table(tmp_path_factory.mktemp("table"), (5.0, -20.0, 45.0, -75.0)), "train")
