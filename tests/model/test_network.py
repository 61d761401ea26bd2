from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR, normalise
from jvcr.model.regressor import columns_as_channels


def count_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def random_crops(batch: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture
def tiny() -> JVCR:
    torch.manual_seed(0)
    return JVCR(PRESETS["tiny"])


def on_meta(preset: str, n_points: int = 68) -> JVCR:
    """Shapes only: neither memory nor time."""
    with torch.device("meta"):
        return JVCR(replace(PRESETS[preset], n_points=n_points))


def test_parameters_of_the_paper_preset() -> None:
    model = on_meta("paper")
    assert round(count_parameters(model.voxel) / 1e6, 2) == 12.85
    assert round(count_parameters(model.coordinate) / 1e6, 2) == 19.46
    assert count_parameters(model) == 32_307_923


def test_parameters_of_the_small_preset() -> None:
    assert round(count_parameters(on_meta("small")) / 1e6, 2) == 2.26


@pytest.mark.parametrize("preset", PRESETS)
def test_output_shapes(preset: str) -> None:
    config = replace(PRESETS[preset], n_points=5)
    with torch.no_grad():
        output = JVCR(config).eval()(random_crops(2, config.image_size))
    assert [tuple(v.shape) for v in output.volumes] == [(2, *shape) for shape in config.volume_shapes]
    assert output.points_unit.shape == (2, 5, 3)
    assert output.points_unit.dtype == torch.float32


def test_only_the_last_linear_layer_knows_the_number_of_points() -> None:
    shapes_5, shapes_68 = ({k: v.shape for k, v in on_meta("tiny", n).state_dict().items()} for n in (5, 68))
    assert shapes_5.keys() == shapes_68.keys()
    differing = {k for k in shapes_5 if shapes_5[k] != shapes_68[k]}
    assert differing == {"coordinate.linear.weight", "coordinate.linear.bias"}
    assert shapes_5["coordinate.linear.weight"] == (3 * 5, 32)


def test_normalise_by_hand() -> None:
    crops = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    crops[1, 2, 3, 0] = 255
    out = normalise(crops)
    assert out.shape == (2, 3, 4, 4)
    assert out[1, 0, 2, 3] == 127.5 / 64 and out[1, 1, 2, 3] == -127.5 / 64


def test_a_cell_becomes_four_columns_row_by_row_and_p_reads_them_as_its_channels() -> None:
    volume = torch.zeros(1, 3, 4, 6)
    volume[0, 2, 1, 4] = 7.0  # second row and first column of the cell in row 0, column 2
    cells = columns_as_channels(volume, 2)
    assert cells.shape == (1, 3, 4, 2, 3)
    assert cells[0, 2, 2, 0, 2] == 7 and cells.sum() == 7
    # Depth to space in G is the inverse.
    assert torch.nn.functional.pixel_shuffle(cells.flatten(1, 2), 2).equal(volume)


@pytest.mark.parametrize("finer", [{}, {"subvoxels": 2}, {"subvoxels": 2, "detail_channels": 6}])
def test_every_parameter_receives_a_gradient_end_to_end(finer: dict[str, int]) -> None:
    torch.manual_seed(0)
    tiny = JVCR(replace(PRESETS["tiny"], **finer))
    # In evaluation mode: in training mode batch norm cancels the bias before it, whose gradient is then 0.
    output = tiny.eval()(random_crops(3, 64))
    generator = torch.Generator().manual_seed(1)
    losses = [(t * torch.randn(t.shape, generator=generator)).sum() for t in (*output.volumes, output.points_unit)]
    sum(losses).backward()
    without = [name for name, p in tiny.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_coordinate_loss_reaches_the_image_through_the_volume(tiny: JVCR) -> None:
    tiny.eval()(random_crops(3, 64)).points_unit.square().sum().backward()
    first = next(tiny.voxel.parameters())
    assert first.grad is not None and first.grad.abs().sum() > 0


def test_coordinate_loss_leaves_g_alone_when_p_reads_a_given_volume(tiny: JVCR) -> None:
    given = torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(2))
    tiny(random_crops(3, 64), given).points_unit.square().sum().backward()
    assert all(p.grad is None for p in tiny.voxel.parameters())
    assert all(p.grad is not None for p in tiny.coordinate.parameters())


def test_given_volume_is_what_p_reads(tiny: JVCR) -> None:
    tiny.eval()
    given = torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        output = tiny(random_crops(3, 64), given)
        torch.testing.assert_close(output.points_unit, tiny.coordinate(given))
        own = tiny(random_crops(3, 64))
        torch.testing.assert_close(own.points_unit, tiny.coordinate(own.volumes[-1]))


def test_rows_of_a_batch_are_independent_in_evaluation_mode(tiny: JVCR) -> None:
    tiny.eval()
    crops = random_crops(5, 64)
    with torch.no_grad():
        together, alone = tiny(crops), tiny(crops[2:3])
    torch.testing.assert_close(together.points_unit[2:3], alone.points_unit, rtol=1e-5, atol=1e-5)
    for one, all_rows in zip(alone.volumes, together.volumes, strict=True):
        torch.testing.assert_close(all_rows[2:3], one, rtol=1e-4, atol=1e-4)


def test_coordinates_stay_float32_under_autocast(tiny: JVCR) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = tiny.eval()(random_crops(2, 64))
    assert output.points_unit.dtype == torch.float32
    assert not torch.equal(output.points_unit, output.points_unit.bfloat16().float())


def test_small_costs_less_than_four_tenths_of_a_gigamac() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = JVCR(PRESETS["small"]).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 128, 128, 3, dtype=torch.uint8))
    # Two FLOP are one multiply-accumulate.
    assert 0.36e9 < counter.get_total_flops() / 2 < 0.40e9
