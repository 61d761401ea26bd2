from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from jvcr.markups.markup import MARKUP_68
from jvcr.model.checkpoint import Header, load_weights, save_weights
from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR
from jvcr.model.rounding import from_steps, to_steps


def old_header(network: JVCR) -> str:
    """A file as version 0.1 wrote it: without a checksum."""
    values = json.loads(Header(network.config, MARKUP_68).to_json())
    return json.dumps({key: values[key] for key in ("config", "markup", "about")})


def test_steps_by_hand() -> None:
    steps, size = to_steps(np.array([[0.5, -1.0], [0.0, 0.0], [4.0, 0.25]]))
    assert steps.tolist() == [[16384, -32767], [0, 0], [32767, 2048]]
    np.testing.assert_allclose(size, [[1 / 32767], [1], [4 / 32767]], rtol=1e-6)
    np.testing.assert_allclose(from_steps(steps, size), [[0.5, -1.0], [0, 0], [4.0, 0.25]], atol=4 / 32767)


def test_steps_are_closer_than_half_precision() -> None:
    weights = np.random.default_rng(0).normal(0, 0.05, (48, 48, 3, 3)).astype(np.float32)
    off_steps = np.abs(from_steps(*to_steps(weights)) - weights).std()
    off_half = np.abs(weights.astype(np.float16).astype(np.float32) - weights).std()
    assert off_steps < off_half / 4


def test_rounding_twice_changes_nothing() -> None:
    weights = np.random.default_rng(0).normal(0, 0.05, (8, 5)).astype(np.float32)
    once, size = to_steps(weights)
    twice, _ = to_steps(from_steps(once, size))
    np.testing.assert_array_equal(once, twice)


def test_weights_in_16_bits_come_back_and_take_half_the_room(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = JVCR(PRESETS["tiny"])
    save_weights(tmp_path / "half.safetensors", network, Header(network.config, MARKUP_68), half=True)
    save_weights(tmp_path / "whole.safetensors", network, Header(network.config, MARKUP_68))
    back, _ = load_weights(tmp_path / "half.safetensors")
    for name, value in network.state_dict().items():
        limit = float(value.abs().max()) / 32767 if value.ndim >= 2 else 0
        torch.testing.assert_close(back.state_dict()[name], value, rtol=0, atol=limit)
    kernels = sum(v.numel() for v in network.state_dict().values() if v.ndim >= 2)
    saved = (tmp_path / "whole.safetensors").stat().st_size - (tmp_path / "half.safetensors").stat().st_size
    assert saved > 1.7 * kernels


def test_half_precision_files_of_version_0_1_are_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = JVCR(PRESETS["tiny"])
    state = {n: v.half() if v.ndim >= 2 else v for n, v in network.state_dict().items()}
    save_file(state, tmp_path / "old.safetensors", metadata={"jvcr": old_header(network)})
    back, _ = load_weights(tmp_path / "old.safetensors")
    name = "coordinate.linear.weight"
    assert back.state_dict()[name].equal(network.state_dict()[name].half().float())


def test_a_step_that_is_missing_is_said(tmp_path: Path) -> None:
    network = JVCR(PRESETS["tiny"])
    state = {n: torch.from_numpy(to_steps(v.numpy())[0]) if v.ndim >= 2 else v for n, v in network.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors", metadata={"jvcr": old_header(network)})
    with pytest.raises(ValueError, match=r"w\.safetensors: its tensors do not fit"):
        load_weights(tmp_path / "w.safetensors")
