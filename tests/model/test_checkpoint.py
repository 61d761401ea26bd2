from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jvcr.markups.markup import MARKUP_66, MARKUP_68
from jvcr.model.checkpoint import Header, load_weights, save_weights, write_atomically
from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR

CONFIG = replace(PRESETS["tiny"], n_points=66)
HEADER = Header(CONFIG, MARKUP_66, {"licence": "MIT", "samples_seen": 12, "validation": {"nme": 0.05}})


@pytest.fixture(scope="module")
def model() -> JVCR:
    torch.manual_seed(1)
    network = JVCR(CONFIG)
    # One training pass, so that the running statistics are not the initial ones.
    network(torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8))
    return network


def test_round_trip(model: JVCR, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, model, HEADER)
    loaded, header = load_weights(path)
    assert header == HEADER
    assert not loaded.training
    for (name, want), got in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(want, got), name
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_half_storage_is_half_as_large_and_loads_as_float32(model: JVCR, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_weights(whole, model, HEADER)
    save_weights(half, model, HEADER, half=True)
    # For such a small network, the header is not small compared with the weights.
    assert half.stat().st_size < 0.75 * whole.stat().st_size
    loaded, _ = load_weights(half)
    for (name, want), got in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert got.dtype == want.dtype, name
        # Biases and batch norm, which are vectors, keep all their digits; others half a 32,767th of the largest.
        torch.testing.assert_close(got, want, rtol=0, atol=float(want.abs().max()) / 60_000 if want.ndim >= 2 else 0)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors: no such"):
        load_weights(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x00" * 4000], ids=["empty", "short", "zeros"])
def test_garbage_is_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.safetensors: not a safetensors file"):
        load_weights(path)


def test_cut_off_file_is_named(model: JVCR, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    save_weights(path, model, HEADER)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"cut\.safetensors: not a safetensors file"):
        load_weights(path)


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"jvcr": "{"}, {"jvcr": "{}"}, {"jvcr": '{"config": {"colour": 1}, "markup": {}}'}],
    ids=["no header", "foreign", "not json", "no config", "unknown entry"],
)
def test_foreign_header_is_named(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(2, 3)}, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"foreign\.safetensors"):
        load_weights(path)


def test_tensors_that_do_not_fit_are_named(model: JVCR, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, model, replace(HEADER, config=replace(CONFIG, n_points=68), markup=MARKUP_68))
    with pytest.raises(ValueError, match=r"other\.safetensors: its tensors do not fit[\s\S]*coordinate\.linear"):
        load_weights(path)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")

    def half_way(temporary: Path) -> None:
        temporary.write_bytes(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, half_way)
    assert path.read_bytes() == b"old"
    write_atomically(path, lambda temporary: temporary.write_bytes(b"new"))
    assert path.read_bytes() == b"new"
