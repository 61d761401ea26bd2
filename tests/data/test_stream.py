from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvcr.data.table import Table
from jvcr.markups.markup import MARKUP_68
from jvcr.train.data.augment import Augmentation
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.data.stream import Batch, Sampling, batches, epoch_rows, row_rates


def stream(table: Table, **changes: Any) -> Iterator[Batch]:
    settings = {
        "size_px": 64,
        "markup": MARKUP_68,
        "augmentation": Augmentation(),
        "sampling": Sampling(),
        "backgrounds": Backgrounds(without_faces=(np.full((50, 70, 3), 128, np.uint8),)),
        "batch_size": 3,
        "seed": 5,
        "workers": 0,
    }
    return batches(table, **(settings | changes))


def assert_equal(a: Batch, b: Batch) -> None:
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x, y)


def test_shapes_and_types(four_faces: Table) -> None:
    batch = next(stream(four_faces))
    assert (batch.crops.shape, batch.crops.dtype) == ((3, 64, 64, 3), torch.uint8)
    assert (batch.points_unit.shape, batch.points_unit.dtype) == ((3, 68, 3), torch.float32)
    assert (batch.weight.shape, batch.weight.dtype) == ((3,), torch.float32)


@pytest.mark.parametrize("workers", [0, 1])
def test_batch_is_the_same_however_the_stream_was_entered(four_faces: Table, workers: int) -> None:
    # 4 rows, batches of 3: batches 1, 2 and 5 reach over the end of a pass.
    whole = stream(four_faces)
    expected = [next(whole) for _ in range(6)]
    for first in (1, 5):
        assert_equal(next(stream(four_faces, first=first, workers=workers)), expected[first])


def test_worker_changes_nothing(four_faces: Table) -> None:
    in_process, in_worker = stream(four_faces), stream(four_faces, workers=1)
    for _ in range(3):
        assert_equal(next(in_process), next(in_worker))


def test_seed_and_batch_number_change_the_crops(four_faces: Table) -> None:
    first = stream(four_faces)
    one, two = next(first), next(first)
    other = next(stream(four_faces, seed=6))
    assert not torch.equal(one.crops, two.crops)
    assert not torch.equal(one.crops, other.crops)


def test_each_pass_takes_every_row_once_and_varies_it_anew(four_faces: Table) -> None:
    # Rows are told apart by their weights.
    still = replace(Augmentation(), no_face_share=0.0)
    source = stream(four_faces, augmentation=still, batch_size=4)
    crops = set()
    for _ in range(3):
        batch = next(source)
        np.testing.assert_allclose(np.sort(batch.weight), four_faces.weights)
        crops |= {points.numpy().tobytes() for points in batch.points_unit}
    assert len(crops) == 3 * 4


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=30), st.integers(0, 1000))
def test_epoch_rows_honours_the_rates(rates: list[float], seed: int) -> None:
    rows = epoch_rows(np.array(rates), np.random.default_rng(seed))
    assert len(rows) == len(rates)
    count = Counter(rows.tolist())
    for row, rate in enumerate(rates):
        expected = len(rates) * rate / sum(rates)
        # Systematic resampling is off by less than one (and a rounding error) for every row.
        assert math.floor(expected - 1e-9) <= count[row] <= math.ceil(expected + 1e-9)


def test_epoch_rows_by_hand() -> None:
    rows = epoch_rows(np.array([1.0, 1, 2, 4]), np.random.default_rng(0))
    # Of four places the last row takes two and the third one; the first two share the fourth.
    count = Counter(rows.tolist())
    assert (count[0] + count[1], count[2], count[3]) == (1, 1, 2)


def test_row_rates_by_hand(four_faces: Table) -> None:
    # yaw 5, -20, 45, -75; sources even, odd, even, odd
    sampling = Sampling(half_profile=2, profile=3, sources=(("odd", 10.0),))
    np.testing.assert_allclose(row_rates(four_faces, sampling), [1, 10, 2, 30])
