from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jvcr.markups.markup import MARKUP_68, Derivation, Markup
from jvcr.model.checkpoint import Header, load_weights, save_weights
from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR, normalise
from jvcr.train.initial import is_deeper, is_finer, take_weights
from jvcr.weights import weights_path

TINY = PRESETS["tiny"]
FOUR = Markup("four", 4, (1, 0, 2, 3), {}, frozenset(), (0, 1), names=("right", "left", "nose", "chin"))
THREE = Markup("three", 3, (0, 2, 1), {}, frozenset(), (1, 2), names=("nose", "left", "right"))


def saved(path: Path, markup: Markup) -> JVCR:
    torch.manual_seed(1)
    network = JVCR(replace(TINY, n_points=markup.n_points))
    save_weights(path, network, Header(network.config, markup))
    return network


def test_the_same_markup_takes_everything(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.safetensors", FOUR)
    network = JVCR(source.config)
    taken = take_weights(network, FOUR, tmp_path / "w.safetensors")
    assert (taken.tensors, taken.landmarks, taken.new) == (len(source.state_dict()), 4, ())
    for name, value in source.state_dict().items():
        assert value.equal(network.state_dict()[name]), name


def test_a_deeper_network_starts_with_their_answers(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.safetensors", FOUR).eval()
    deeper = JVCR(replace(source.config, depths=(2, 16, 16, 16))).eval()
    taken = take_weights(deeper, FOUR, tmp_path / "w.safetensors")
    assert (taken.tensors, taken.new) == (len(deeper.state_dict()), ())
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    old, new = source(crops), deeper(crops)
    assert new.points_unit.equal(old.points_unit)
    for volume in new.volumes[1:]:
        assert volume.equal(old.volumes[1])
    # The added stacks learn to differ: the ways between them are zero, but not stuck there.
    new.volumes[-1].square().sum().backward()
    for head in deeper.voxel.heads[1:-1]:
        assert head.from_volume.weight.abs().max() == 0 and head.from_volume.weight.grad.abs().max() > 0


def test_a_deeper_network_with_a_fine_volume_starts_with_their_answers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = replace(TINY, n_points=4, subvoxels=2, detail_channels=5)
    source = JVCR(config).eval()
    save_weights(tmp_path / "w.safetensors", source, Header(config, FOUR))
    deeper = JVCR(replace(config, depths=(2, 16, 16, 16))).eval()
    taken = take_weights(deeper, FOUR, tmp_path / "w.safetensors")
    assert (taken.tensors, taken.new) == (len(deeper.state_dict()), ())
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    old, new = source(crops), deeper(crops)
    assert new.points_unit.equal(old.points_unit) and new.volumes[-1].equal(old.volumes[-1])
    # The added stacks have coarse volumes: each voxel the mean of its four, but for the detail branch.
    columns = source.voxel.fine_head.columns(source.voxel.fine_head.block(last_features(source, crops)))
    coarse = columns[:, : 4 * 16].unflatten(1, (16, 4)).mean(dim=2)
    for volume in new.volumes[1:-1]:
        torch.testing.assert_close(volume, coarse)


def last_features(network: JVCR, crops: torch.Tensor) -> torch.Tensor:
    """Those that the last head of a network of two stacks reads."""
    voxel = network.voxel
    _, x = voxel.stem(normalise(crops))
    _, x = voxel.heads[0](x, voxel.hourglasses[0](x))
    return voxel.hourglasses[1](x)


@pytest.mark.parametrize("detail", [0, 5])
def test_a_finer_network_starts_with_their_answers(tmp_path: Path, detail: int) -> None:
    source = saved(tmp_path / "w.safetensors", FOUR).eval()
    finer = JVCR(replace(source.config, subvoxels=2, detail_channels=detail)).eval()
    taken = take_weights(finer, FOUR, tmp_path / "w.safetensors")
    assert taken.landmarks == 4
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    old, new = source(crops), finer(crops)
    assert new.volumes[0].equal(old.volumes[0])
    repeated = old.volumes[1].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(new.volumes[1], repeated)
    torch.testing.assert_close(new.points_unit, old.points_unit)


def test_a_wider_p_hears_little_from_its_new_channels_at_first(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.safetensors", FOUR).eval()
    finer = JVCR(replace(source.config, subvoxels=2, regressor_channels=(12, 16, 32))).eval()
    take_weights(finer, FOUR, tmp_path / "w.safetensors")
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    old, new = source(crops).points_unit, finer(crops).points_unit
    apart = (new - old).norm() / (old - 0.5).norm()
    assert 0 < apart < 0.2


def test_what_counts_as_finer() -> None:
    fine = replace(TINY, subvoxels=2, detail_channels=8, n_points=5)
    assert is_finer(fine, TINY)
    assert is_finer(replace(fine, regressor_channels=(9, 16, 40)), TINY)
    assert not is_finer(replace(fine, regressor_channels=(7, 16, 32)), TINY)
    assert not is_finer(TINY, TINY) and not is_finer(fine, fine) and not is_finer(TINY, fine)
    assert not is_finer(replace(fine, channels=32), TINY)


def test_what_counts_as_deeper() -> None:
    assert is_deeper(replace(TINY, depths=(2, 16, 16), n_points=5), TINY)
    assert not is_deeper(TINY, TINY)
    assert not is_deeper(replace(TINY, depths=(2, 8, 16)), TINY)
    assert not is_deeper(replace(TINY, depths=(2, 16, 16), channels=32), TINY)


def test_another_markup_takes_landmarks_by_name(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.safetensors", FOUR)
    torch.manual_seed(2)
    network = JVCR(replace(TINY, n_points=3))
    taken = take_weights(network, THREE, tmp_path / "w.safetensors")
    assert (taken.landmarks, taken.new) == (3, ())
    theirs, ours = (n.coordinate.linear.bias.detach().view(-1, 3) for n in (source, network))
    # nose, left, right are numbers 2, 1 and 0 there.
    assert ours.equal(theirs[[2, 1, 0]])
    assert network.voxel.stem.layers[0].weight.equal(source.voxel.stem.layers[0].weight)


def test_a_markup_made_from_theirs_starts_with_their_answers(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.safetensors", FOUR)
    terms = (((3, 1.0),), ((0, 0.25), (1, 0.75)))
    two = Markup("two", 2, (0, 1), {}, frozenset(), (0, 1), derivations={"four": Derivation(terms)})
    network = JVCR(replace(TINY, n_points=2))
    assert take_weights(network, two, tmp_path / "w.safetensors").landmarks == 2
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        old, new = (n.eval()(crops).points_unit for n in (source, network))
    torch.testing.assert_close(new[:, 0], old[:, 3])
    torch.testing.assert_close(new[:, 1], 0.25 * old[:, 0] + 0.75 * old[:, 1])


def test_names_that_differ_start_anew(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.safetensors", FOUR)
    other = replace(FOUR, name="other", names=("a", "b", "c", "d"))
    torch.manual_seed(2)
    network = JVCR(replace(TINY, n_points=4))
    before = network.coordinate.linear.weight.detach().clone()
    taken = take_weights(network, other, tmp_path / "w.safetensors")
    assert (taken.landmarks, taken.new) == (0, ("coordinate.linear.weight", "coordinate.linear.bias"))
    assert network.coordinate.linear.weight.equal(before)
    assert not before.equal(source.coordinate.linear.weight)


def test_network_of_other_sizes_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "w.safetensors", FOUR)
    with pytest.raises(ValueError, match=r"w\.safetensors: only \d+ of \d+ tensors fit this network"):
        take_weights(JVCR(replace(PRESETS["small"], n_points=4)), FOUR, tmp_path / "w.safetensors")


def test_shipped_weights_fit_their_preset() -> None:
    path = weights_path("small", ".safetensors")
    network = JVCR(PRESETS["small"])
    assert take_weights(network, MARKUP_68, path).new == ()
    assert network.coordinate.linear.bias.equal(load_weights(path)[0].coordinate.linear.bias)
