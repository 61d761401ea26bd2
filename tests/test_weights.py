from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import jvcr.weights
from jvcr import Landmarker
from jvcr.detect.whole import whole_image
from jvcr.weights import FOLDER_VARIABLE, weights_path


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package installed from a wheel: no repository around it, no folder given."""
    package = tmp_path / "site-packages" / "jvcr" / "weights"
    monkeypatch.setattr(jvcr.weights, "_PACKAGE", package)
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return tmp_path


def test_shipped_weights_are_in_the_package() -> None:
    for ending in (".onnx", ".safetensors"):
        assert weights_path("small", ending).parent == Path(jvcr.weights.__file__).parent
        assert weights_path("small", ending).is_file()


def test_separate_weights_that_are_not_there_are_explained(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(nowhere / "mine"))
    with pytest.raises(FileNotFoundError, match=r"large\.onnx are not inside.*mine.*JVCR_WEIGHTS") as raised:
        Landmarker("large")
    assert "take weights/large.onnx from the project's repository" in str(raised.value)


def test_separate_weights_are_found(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Path(jvcr.weights.__file__).with_name("small.onnx")
    beside = jvcr.weights._PACKAGE.parents[2] / "weights"
    beside.mkdir(parents=True)
    shutil.copy(small, beside / "large.onnx")
    assert weights_path("large") == beside / "large.onnx"
    assert Landmarker("large", threads=1, detector=whole_image).markup.n_points == 68
    named = nowhere / "named"
    named.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(named))
    assert weights_path("large") == beside / "large.onnx"
    shutil.copy(small, named / "large.onnx")
    assert weights_path("large") == named / "large.onnx"


def test_a_path_stays_as_it_is(tmp_path: Path) -> None:
    assert weights_path(tmp_path / "mine.onnx") == tmp_path / "mine.onnx"
    with pytest.raises(ValueError, match="'huge' are unknown; expected one of small, nano, large or a file"):
        weights_path("huge")
