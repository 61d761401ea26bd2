from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from jvcr.train.data.augment import Augmentation
from jvcr.train.vary import Rows, vary_pixels

STILL = Augmentation(**dict.fromkeys(Augmentation.__dataclass_fields__, 0.0))
SHARES = [name for name in Augmentation.__dataclass_fields__ if name.endswith("_share")]
PIXELS = ["light_share", "grey_share", "blur_share", "coarse_share", "noise_share", "occlusion_share"]


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """Five smooth pictures of 24 × 24 pixels."""
    rng = np.random.default_rng(0)
    rough = torch.from_numpy(rng.uniform(20, 230, (5, 3, 4, 4)))
    smooth = torch.nn.functional.interpolate(rough, size=24, mode="bicubic").clamp(0, 255)
    return smooth.round().to(torch.uint8).permute(0, 2, 3, 1)


def all_of(crops: torch.Tensor) -> Rows:
    return Rows(len(crops), 0, len(crops))


def test_without_variation_nothing_changes(crops: torch.Tensor) -> None:
    assert vary_pixels(crops, STILL, all_of(crops), 3).equal(crops.float())


@pytest.mark.parametrize("name", PIXELS)
def test_each_variation_changes_the_pixels_and_keeps_their_range(crops: torch.Tensor, name: str) -> None:
    before = crops.clone()
    varied = vary_pixels(crops, replace(STILL, **{name: 1.0}), all_of(crops), 3)
    assert varied.shape == crops.shape and varied.dtype == torch.float32
    assert varied.min() >= 0 and varied.max() <= 255 + 1e-3
    changed = (varied - crops.float()).abs().flatten(1).amax(dim=1)
    # At this size a blur can be too narrow to see.
    assert (changed > 1).all() if name != "blur_share" else changed.max() > 0.1
    assert crops.equal(before)


@pytest.mark.parametrize("first", [0, 2])
def test_a_part_of_the_batch_varies_as_in_the_whole(crops: torch.Tensor, first: int) -> None:
    how = replace(Augmentation(), colour_shift=0.3, **dict.fromkeys(PIXELS, 0.6))
    whole = vary_pixels(crops, how, all_of(crops), 11)
    part = vary_pixels(crops[first : first + 3], how, Rows(5, first, 3), 11)
    torch.testing.assert_close(part, whole[first : first + 3], atol=1e-3, rtol=0)


def test_the_seed_decides(crops: torch.Tensor) -> None:
    how = Augmentation()
    once, again, other = (vary_pixels(crops, how, all_of(crops), seed) for seed in (4, 4, 5))
    assert once.equal(again) and not once.equal(other)


def test_grey_by_hand() -> None:
    crops = torch.tensor([200, 100, 50], dtype=torch.uint8).expand(1, 6, 6, 3)
    varied = vary_pixels(crops, replace(STILL, grey_share=1.0), Rows(1, 0, 1), 0)
    # 0.299 · 200 + 0.587 · 100 + 0.114 · 50
    torch.testing.assert_close(varied, torch.full((1, 6, 6, 3), 124.2))


def test_colour_shift_is_one_amount_a_channel() -> None:
    crops = torch.full((40, 5, 5, 3), 128, dtype=torch.uint8)
    varied = vary_pixels(crops, replace(STILL, colour_shift=0.2), Rows(40, 0, 40), 0)
    added = varied - 128
    assert added.flatten(1, 2).std(dim=1).max() == 0
    assert added.abs().max() <= 51 and added.std() == pytest.approx(51 / 3**0.5, rel=0.2)


def test_blur_keeps_the_mean_and_spreads_a_dot() -> None:
    crops = torch.zeros(1, 128, 128, 3, dtype=torch.uint8)
    crops[0, 60, 70] = 255
    varied = vary_pixels(crops, replace(STILL, blur_share=1.0), Rows(1, 0, 1), 1)[0, :, :, 0]
    assert varied.sum().item() == pytest.approx(255, rel=1e-4)
    place = torch.arange(128.0)
    weight = varied / varied.sum()
    mean = torch.stack([(weight.sum(dim=1 - axis) * place).sum() for axis in (0, 1)])
    torch.testing.assert_close(mean, torch.tensor([60.0, 70.0]), atol=1e-3, rtol=0)
    sigma = ((weight.sum(dim=0) * (place - 70) ** 2).sum()).sqrt()
    assert 0.5 <= sigma <= 2.0


def test_occlusion_covers_rectangles_of_the_stated_size(crops: torch.Tensor) -> None:
    plain = torch.full((60, 100, 100, 3), 7, dtype=torch.uint8)
    varied = vary_pixels(plain, replace(STILL, occlusion_share=1.0), Rows(60, 0, 60), 2)
    covered = (varied != 7).any(dim=3).float().mean(dim=(1, 2))
    # One or two rectangles, each of 8 to 40 % of the side both ways; displaced pieces of an even picture do not show.
    assert covered.max() <= 2 * 0.41**2 and (covered > 0.08**2).sum() > 20


def test_the_coarsest_crops_lose_the_most() -> None:
    stripes = (torch.arange(48) // 4 % 2 * 255).to(torch.uint8).expand(8, 3, 48, 48).permute(0, 2, 3, 1)

    def contrast(coarsest: float) -> float:
        how = replace(STILL, coarse_share=1.0, coarsest=coarsest)
        return float(vary_pixels(stripes, how, all_of(stripes), 3).std(dim=(1, 2, 3)).min())

    # Stripes of 4 px survive at 0.7 of the resolution, and not at a twentieth of it.
    assert contrast(0.7) > 90
    assert contrast(0.02) < 50


def test_a_coarse_crop_is_never_sharper_than_the_mildest() -> None:
    with pytest.raises(ValueError, match=r"augmentation.coarsest is 0.8; expected 0…0.7"):
        Augmentation(coarsest=0.8)
