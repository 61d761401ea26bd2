from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
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

MakeHead = Callable[..., np.ndarray]
MakeTable = Callable[..., Path]


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


def expressive(make_table: MakeTable, make_head: MakeHead, folder: Path) -> Table:
    """An open face, one with closed eyes, one with its mouth wide open, and these two as a face model labels them."""
    neutral = make_head(0)
    shut, wide = neutral.copy(), neutral.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        shut[[upper, lower], 1] = shut[[upper, lower], 1].mean()
    wide[66, 1] = wide[62, 1] + 0.9 * np.linalg.norm(wide[60, :2] - wide[64, :2])
    points = np.stack([neutral, shut, wide, shut, wide]) * np.float32([1, 1, -1])
    openings = np.array(["hand", "hand", "mesh", "model", "model"])
    return Table(make_table(folder, (0,) * 5, points=points, openings=openings), "train")


def test_closed_eyes_and_wide_mouths_may_be_drawn_more_often(
    make_table: MakeTable, make_head: MakeHead, tmp_path: Path
) -> None:
    table = expressive(make_table, make_head, tmp_path)
    rates = row_rates(table, Sampling(closed_eyes=6.0, wide_mouths=2.0))
    assert rates.tolist() == [1, 6, 2, 1, 1]
    with pytest.raises(ValueError, match="closed_eyes is -1"):
        Sampling(closed_eyes=-1.0)


def test_expressions_of_turned_heads_are_not_chosen_by(
    make_table: MakeTable, make_head: MakeHead, tmp_path: Path
) -> None:
    table = expressive(make_table, make_head, tmp_path)
    table.yaw_deg[1] = 50.0
    assert row_rates(table, Sampling(closed_eyes=6.0)).tolist() == [1, 1, 1, 1, 1]


def test_what_is_taught_travels_with_the_crop(make_table: MakeTable, make_head: MakeHead, tmp_path: Path) -> None:
    table = expressive(make_table, make_head, tmp_path)
    batch = next(stream(table, batch_size=5, augmentation=replace(Augmentation(), no_face_share=0.0)))
    assert (batch.taught.shape, batch.taught.dtype) == ((5, 68), torch.bool)
    assert sorted(batch.taught.sum(dim=1).tolist()) == [48, 48, 68, 68, 68]
