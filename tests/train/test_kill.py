"""A training killed by SIGKILL goes on, and ends where an uninterrupted one does."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jvcr.model.checkpoint import load_weights

SCRIPT = """
import sys
from pathlib import Path
import torch
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.data.table import Table
from jvcr.markups.markup import MARKUP_68
from jvcr.train.config import Stage, TrainConfig
from jvcr.model.config import PRESETS
from jvcr.train.landmarks import LandmarkTask
from jvcr.train.loop import Hardware, Loop

torch.set_num_threads(1)

class Listener:
    def on_progress(self, progress): ...
    def on_validation(self, samples, result):
        print("validated", samples, flush=True)

config = TrainConfig(
    model=PRESETS["tiny"],
    stages=(Stage("one", 24, False, 20.0, lr=2e-3, final_lr=2e-3, volume_noise=0.05),
            Stage("two", 40, True, 20.0, lr=2e-3, final_lr=1e-4)),
    batch_size=4, precision="32-true", validate_every=16, checkpoint_seconds=0.0, workers=0,
)
data, out = map(Path, sys.argv[1:])
table = Table(data, "train")
Loop(LandmarkTask(config, MARKUP_68, table, table, Backgrounds()), out, Listener(), Hardware("cpu")).run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(make_table: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = make_table(tmp_path / "data", (5.0, -20.0, 45.0, -75.0))

    def start(out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, str(data), str(tmp_path / out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    whole = start("whole")
    assert whole.wait(timeout=300) == 0

    broken = start("broken")
    assert broken.stdout is not None
    # Checkpoints are written after every step, so the kill falls into work or into writing, wherever it happens to be.
    for line in broken.stdout:
        if line.split() == ["validated", "32"]:
            break
    broken.send_signal(signal.SIGKILL)
    assert broken.wait(timeout=60) == -signal.SIGKILL
    assert start("broken").wait(timeout=300) == 0

    expected, header = load_weights(tmp_path / "whole" / "model.safetensors")
    found, other_header = load_weights(tmp_path / "broken" / "model.safetensors")
    assert header.about == other_header.about
    assert header.about["samples_seen"] == 64
    for name, value in expected.state_dict().items():
        assert value.equal(found.state_dict()[name]), name
    logs = [(tmp_path / run / "log.csv").read_text().splitlines() for run in ("whole", "broken")]
    assert [line.split(",")[0] for line in logs[0]] == [line.split(",")[0] for line in logs[1]]
