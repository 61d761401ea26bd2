"""Two processes share every batch; the run is the one of a single process with the whole batch."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jvcr.model.checkpoint import load_weights

SETTINGS = """
preset = "tiny"
batch_size = 8
precision = "32-true"
log_every = 1
validate_every = 40
workers = 0
pictures = 0
checkpoint_seconds = 0

[[stages]]
name = "side by side"
samples = 24
end_to_end = false
coordinate_weight = 20
lr = 1e-4
final_lr = 1e-4
volume_noise = 0.05

[[stages]]
name = "end to end"
samples = 40
coordinate_weight = 20
lr = 1e-4
final_lr = 1e-4
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are started as on Linux and macOS")
@pytest.mark.slow
def test_two_processes_equal_one_with_the_whole_batch(make_table: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    splits = ["train"] * 5 + ["val"] * 2
    data = make_table(tmp_path / "data", (5.0, -20.0, 45.0, -75.0, 12.0, 8.0, 50.0), splits)
    (tmp_path / "run.toml").write_text(SETTINGS, encoding="utf-8")

    def train(out: str, *options: str) -> tuple[list[dict[str, str]], subprocess.CompletedProcess[str]]:
        command = [sys.executable, "-m", "jvcr.cli.app", "train", "--accelerator", "cpu", "--data", str(data)]
        command += ["--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / out), *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        with (tmp_path / out / "losses.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file)), done

    one, _ = train("one")
    two, done = train("two", "--devices", "2")
    assert "Starting with 2 processes" in done.stderr
    assert [row["samples"] for row in one] == [row["samples"] for row in two] == [str(8 * n) for n in range(1, 9)]
    for name in ("loss", "voxel_loss", "coordinate_loss"):
        ours, theirs = ([float(row[name]) for row in rows] for rows in (one, two))
        # The first step sees the same weights; then the optimiser enlarges differences in rounding.
        assert theirs[0] == pytest.approx(ours[0], rel=1e-5), name
        assert theirs[1] == pytest.approx(ours[1], rel=1e-3), name
        assert theirs == pytest.approx(ours, rel=2e-2), name
    networks = [load_weights(tmp_path / run / "model.safetensors") for run in ("one", "two")]
    assert networks[0][1].about["training"] == networks[1][1].about["training"]
    for (name, ours), theirs in zip(
        networks[0][0].state_dict().items(), networks[1][0].state_dict().values(), strict=True
    ):
        # Statistics of batch norm too: those of the whole batch in every process.
        torch.testing.assert_close(theirs, ours, rtol=0.05, atol=5e-3, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
def test_batch_that_cannot_be_shared(make_table: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = make_table(tmp_path / "data", (5.0, -20.0, 10.0), ["train", "train", "val"])
    (tmp_path / "run.toml").write_text(SETTINGS.replace("batch_size = 8", "batch_size = 7"), encoding="utf-8")
    command = [sys.executable, "-m", "jvcr.cli.app", "train", "--accelerator", "cpu", "--data", str(data)]
    command += ["--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run"), "--devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    assert "a batch of 7 cannot be split into 2 equal parts" in done.stderr
