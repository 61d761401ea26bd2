"""A short round of the fuzzing in ``run.py``, always with the same inputs."""

from __future__ import annotations

import random

import pytest
from fuzz_mutate import mutated
from fuzz_targets import TARGETS, Target
from run import fuzz

COUNTS = {
    "images": 1500,
    "boxes": 600,
    "records": 600,
    "markups": 300,
    "predictions": 300,
    "tables": 200,
    "weights": 60,
}
NEEDED = {"tables": "torch", "weights": "torch", "networks": "onnx", "videos": "av"}


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


def test_an_undocumented_error_and_a_slow_input_are_faults() -> None:
    def broken(data: bytes, _: object) -> None:
        raise (KeyError if len(data) % 2 else ValueError)(data[:4])

    done = fuzz(Target("broken", [b"seed"] * 2, broken), 50, seed=3)
    assert done.inputs == 50 and done.refused["ValueError"] + len(done.faults) == 50
    assert done.faults and "KeyError" in done.faults[0]
    slow = fuzz(Target("slow", [b"seed"], lambda *_: None, slowest_s=0.0), 1, seed=3)
    assert "took" in slow.faults[0]


def test_damage_depends_on_the_seed_alone() -> None:
    data = bytes(range(256))
    one, other = (mutated(data, [data], random.Random(5)) for _ in range(2))
    assert one == other
    assert len({mutated(data, [data], random.Random(seed)) for seed in range(100)}) > 90
