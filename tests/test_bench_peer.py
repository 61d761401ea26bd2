"""``jvcr bench --peer`` with a stand-in for MediaPipe that sleeps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr.bench.peer import Race, race, race_table
from jvcr.cli.app import app

STAND_IN = """
import time
from types import SimpleNamespace

class FaceMesh:
    def __init__(self, static_image_mode, max_num_faces, refine_landmarks):
        assert refine_landmarks and max_num_faces == 1
        self.seconds = 0.02 if static_image_mode else 0.005

    def process(self, image):
        assert image.shape == (720, 1280, 3), image.shape
        time.sleep(self.seconds)
        return SimpleNamespace(multi_face_landmarks=FACES)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package mediapipe that every Python process finds first; returns its module of the mesh."""
    solutions = tmp_path / "mediapipe" / "python" / "solutions"
    solutions.mkdir(parents=True)
    for folder in (solutions, solutions.parent):
        (folder / "__init__.py").write_text("")
    (tmp_path / "mediapipe" / "__init__.py").write_text('__version__ = "9.9"\n')
    (solutions / "face_mesh.py").write_text(STAND_IN.replace("FACES", "[1]"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return solutions / "face_mesh.py"


def test_both_tools_are_timed(stand_in: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["bench", "--quick", "--peer", sys.executable, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "MediaPipe 9.9, attention mesh" in done.output
    photo, follow = json.loads((out / "bench.json").read_text())["races"]
    # It decodes the photo, and then sleeps: little CPU time.
    assert photo["peer_wall_ms"] > 20 and follow["peer_wall_ms"] > 5
    assert follow["peer_cpu_ms"] < 5
    assert photo["wall_ms"] > follow["wall_ms"] > 1
    assert photo["ratio"] == pytest.approx(photo["wall_ms"] / photo["peer_wall_ms"])


def test_the_table_by_hand() -> None:
    table = race_table([Race("a photo", "small", 12.0, 11.0, "MediaPipe 9.9", 8.0, 7.5)])
    assert table.rows == (("a photo", "small", "12.00", "11.00", "8.00", "7.50", "1.50"),)


def test_a_python_without_mediapipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mediapipe.py").write_text("raise ImportError('No module named mediapipe')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"MediaPipe cannot be timed with it: .*No module named mediapipe"):
        race(astronaut(), Path(sys.executable), rounds=1)


def test_no_such_python() -> None:
    with pytest.raises(ValueError, match=r"nowhere.*: no such Python interpreter"):
        race(astronaut(), Path("/nowhere/python"), rounds=1)


def test_a_peer_that_finds_no_face(stand_in: Path) -> None:
    stand_in.write_text(STAND_IN.replace("FACES", "None"))
    with pytest.raises(ValueError, match="no face was found in the photo"):
        race(astronaut(), Path(sys.executable), rounds=1)
