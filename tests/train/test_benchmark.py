"""``benchmarks/training.py`` times the step of the training as it is now."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training.py"


@pytest.mark.slow
def test_every_part_of_a_step_is_timed(make_table, tmp_path: Path) -> None:
    data = make_table(tmp_path, [5.0, -20.0, 45.0, -75.0])
    command = [sys.executable, SCRIPT, data, "--preset", "tiny", "--workers", "0", "--steps", "2"]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr
    printed = run.stdout
    for part in ("pixel augmentation", "forward", "backward", "optimiser", "EMA of weights", "together"):
        assert part in printed
