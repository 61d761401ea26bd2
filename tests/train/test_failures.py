"""A full disk and a sample that cannot be read: said clearly, and the last good checkpoint survives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
import torch
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.data.table import Table
from jvcr.images import ImageError
from jvcr.markups.markup import MARKUP_68
from jvcr.model.config import PRESETS
from jvcr.train.config import Stage, TrainConfig
from jvcr.train.landmarks import LandmarkTask
from jvcr.train.loop import Hardware, Loop

torch.set_num_threads(1)

class Silent:
    def on_progress(self, progress): ...
    def on_validation(self, samples, result): ...

class Broken(Table):
    def __getitem__(self, row):
        raise ImageError(f"faces.tar: {self.names[row]} is cut short")

kind, data, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
config = TrainConfig(
    model=PRESETS["tiny"], stages=(Stage("one", 40, True, 20.0, lr=1e-3, final_lr=1e-4),),
    batch_size=4, precision="32-true", validate_every=1000, checkpoint_seconds=0.0, pictures=0,
    workers=1 if kind == "sample" else 0,
)
table = Table(data, "train")

def go_on(table, seconds):
    training = Loop(LandmarkTask(config, MARKUP_68, table, table, Backgrounds()), out, Silent(), Hardware("cpu"))
    training.run(seconds)
    return training.step

assert go_on(table, 0) == 1
if kind == "disk":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
else:
    table.__class__ = Broken
try:
    go_on(table, 1e9)
except (OSError, RuntimeError) as error:
    print(type(error).__name__, error)
else:
    print("no error")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
table.__class__ = Table
assert go_on(table, 0) == 2
print(*sorted(path.name for path in out.iterdir() if path.is_file()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("disk", ("OSError", "model.safetensors cannot be written", "Free some disk space")),
        ("sample", ("TrainingFailed", "cannot be read at step 1", "faces.tar: face", "last.ckpt")),
    ],
)
def test_failure_is_said_and_the_run_goes_on_from_the_last_checkpoint(
    make_table: Callable[..., Path], tmp_path: Path, kind: str, said: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    data = make_table(tmp_path / "data", (5.0, -20.0, 45.0, -75.0))
    command = [sys.executable, "-c", SCRIPT, kind, str(data), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for words in said:
        assert words in done.stdout, done.stdout
    # Nothing half-written is left behind.
    assert done.stdout.splitlines()[-1].split() == ["last.ckpt", "model.safetensors"]
