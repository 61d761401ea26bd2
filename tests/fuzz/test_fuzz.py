"""A short round of the fuzzing in ``run.py``, always with the same inputs."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from fuzz_mutate import mutated
from fuzz_targets import TARGETS, Target
from run import fuzz, peak_mb

COUNTS = {
    "images": 1500,
    "boxes": 600,
    "records": 600,
    "markups": 300,
    "predictions": 300,
    "tables": 200,
    "weights": 60,
}
NEEDED = {"tables": "torch", "weights": "torch", "networks": "onnx", "detectors": "onnx", "videos": "av"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_raise_what_is_documented(name: str) -> None:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    target = TARGETS[name]()
    count = COUNTS.get(name, 100)
    done = fuzz(target, count, seed=1)
    assert done.faults == []
    assert done.inputs == count
    # The harness reaches both ends: some damage does no harm, most does.
    assert sum(done.refused.values()) > 0.1 * count
    for data in target.seeds:
        assert fuzz(Target(name, [data], target.read, target.documented, mutate=lambda good, *_: good), 1, 0).accepted


def test_what_counts_as_a_fault() -> None:
    def broken(data: bytes, folder: Path) -> None:
        raise (KeyError if len(data) % 2 else ValueError)(f"{folder}: {data[:4]!r}")

    done = fuzz(Target("broken", [b"seed"] * 2, broken), 50, seed=3)
    assert done.inputs == 50 and done.refused["ValueError"] + len(done.faults) == 50
    assert done.faults and "KeyError" in done.faults[0]

    def nameless(data: bytes, folder: Path) -> None:
        raise ValueError("wrong")

    assert "does not name the file" in fuzz(Target("nameless", [b"seed"], nameless), 1, seed=3).faults[0]
    slow = fuzz(Target("slow", [b"seed"], lambda *_: None, slowest_s=0.0), 1, seed=3)
    assert "took" in slow.faults[0]


@pytest.mark.skipif(not peak_mb(), reason="the system does not tell how much memory a process takes")
def test_much_memory_is_a_fault() -> None:
    def large(data: bytes, folder: Path) -> None:
        # The seed itself is read first, to leave out what is imported.
        if data != b"seed":
            size = int(1.2e6 * peak_mb()) + 200_000_000
            np.ones(size, np.uint8)

    assert "MB" in fuzz(Target("large", [b"seed"], large), 1, seed=3).faults[0]


def test_a_round_that_was_stopped_or_crashed_is_continued(tmp_path: Path) -> None:
    def read(data: bytes, folder: Path) -> None:
        if len(data) > 4:
            raise ValueError(f"{folder}: {len(data)} bytes")

    target = Target("sizes", [b"seed"], read)
    whole = fuzz(target, 40, seed=3, first=5)
    fuzz(target, 15, seed=3, first=5, keep=tmp_path)
    continued = fuzz(target, 40, seed=3, first=5, keep=tmp_path, resume=True)
    assert (continued.inputs, continued.accepted, continued.refused) == (40, whole.accepted, whole.refused)
    # A process that dies leaves the number of its input behind. Somebody may have killed it; twice is no accident.
    counts, now = (tmp_path / "sizes-3.json"), (tmp_path / "sizes-3.now")
    before = counts.read_bytes()
    now.write_bytes(struct.pack("<QQ", 47, 2**64 - 1))
    assert fuzz(target, 50, seed=3, first=5, keep=tmp_path, resume=True).faults == []
    counts.write_bytes(before)
    now.write_bytes(struct.pack("<QQ", 47, 47))
    crashed = fuzz(target, 50, seed=3, first=5, keep=tmp_path, resume=True)
    assert crashed.inputs == 50 and len(crashed.faults) == 1 and "input 47: the process ended" in crashed.faults[0]
    assert (tmp_path / "sizes-3-47").read_bytes() == next(target.inputs(3, 47))


def test_damage_depends_on_the_seed_alone() -> None:
    data = bytes(range(256))
    one, other = (mutated(data, [data], random.Random(5)) for _ in range(2))
    assert one == other
    assert len({mutated(data, [data], random.Random(seed)) for seed in range(100)}) > 90
