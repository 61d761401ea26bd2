"""A full disk and a sample that cannot be read: said clearly, and the last good checkpoint survives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jvcr.data.sample import Sample
from jvcr.data.table import Table
from jvcr.images import ImageError
from jvcr.markups.markup import MARKUP_68
from jvcr.model.config import PRESETS
from jvcr.train.config import Stage, TrainConfig
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.landmarks import LandmarkTask
from jvcr.train.loop import Hardware, Loop, TrainingFailed


class Silent:
    def on_progress(self, progress: object) -> None: ...

    def on_validation(self, samples: int, result: object) -> None: ...


class Broken(Table):
    def __getitem__(self, row: int) -> Sample:
        raise ImageError(f"faces.tar: {self.names[row]} is cut short")


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file can be larger than 20 kB."""
    resource: Any = pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def make(table: Table, out: Path, workers: int) -> Loop:
    config = TrainConfig(
        model=PRESETS["tiny"],
        stages=(Stage("one", 40, True, 20.0, lr=1e-3, final_lr=1e-4),),
        batch_size=4,
        precision="32-true",
        validate_every=1000,
        checkpoint_seconds=0.0,
        pictures=0,
        workers=workers,
    )
    return Loop(LandmarkTask(config, MARKUP_68, table, table, Backgrounds()), out, Silent(), Hardware("cpu"))


@pytest.fixture
def data(make_table: Callable[..., Path], tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return make_table(tmp_path / "data", (5.0, -20.0, 45.0, -75.0))


def one_step(table: Table, out: Path, workers: int) -> int:
    training = make(table, out, workers)
    training.run(0)
    return training.step


def written(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if path.is_file())


def test_a_full_disk_is_said_and_the_run_goes_on_from_the_last_checkpoint(data: Path, tmp_path: Path) -> None:
    table, out = Table(data, "train"), tmp_path / "run"
    assert one_step(table, out, 0) == 1
    with full_disk(), pytest.raises(OSError, match=r"model\.safetensors cannot be written[\s\S]*Free some disk space"):
        make(table, out, 0).run(1e9)
    assert one_step(table, out, 0) == 2
    # Nothing half-written is left behind.
    assert written(out) == ["last.ckpt", "model.safetensors"]


def test_an_unreadable_sample_is_said_and_the_run_goes_on_from_the_last_checkpoint(data: Path, tmp_path: Path) -> None:
    """In a worker: what it says comes through."""
    out = tmp_path / "run"
    assert one_step(Table(data, "train"), out, 1) == 1
    with pytest.raises(TrainingFailed, match=r"cannot be read at step 1[\s\S]*faces\.tar: face[\s\S]*last\.ckpt"):
        make(Broken(data, "train"), out, 1).run(1e9)
    assert one_step(Table(data, "train"), out, 1) == 2
    assert written(out) == ["last.ckpt", "model.safetensors"]
