from __future__ import annotations

import pytest
import torch

from jvcr.train.losses import coordinate_loss, voxel_loss


def test_voxel_loss_by_hand() -> None:
    true = [torch.zeros(2, 1, 3, 5), torch.zeros(2, 4, 3, 5)]
    true[1][1, 2, 1, 3] = 0.5
    predicted = [torch.full((2, 1, 3, 5), 0.1), torch.zeros(2, 4, 3, 5)]
    predicted[1][1, 2, 1, 3] = 2.5
    # 0.1² everywhere, and 2² on one of 120 voxels, weighed 1 + 9 · 0.5.
    assert voxel_loss(predicted, true, foreground=9).item() == pytest.approx(0.01 + 5.5 * 4 / 120)
    assert voxel_loss(predicted, true, foreground=0).item() == pytest.approx(0.01 + 4 / 120)


def test_voxel_loss_needs_as_many_volumes() -> None:
    with pytest.raises(ValueError, match="zip"):
        voxel_loss([torch.zeros(1, 2, 3, 3)], [], foreground=9)


def test_coordinate_loss_by_hand() -> None:
    true = torch.zeros(3, 5, 3)
    predicted = torch.zeros(3, 5, 3)
    predicted[0] += 0.2
    predicted[1, 4, 1] = -1.5  # mean 0.1 over the row's 15 coordinates
    predicted[2] -= 10.0
    # The third row has no face.
    weight = torch.tensor([1.0, 0.5, 0.0])
    assert coordinate_loss(predicted, true, weight).item() == pytest.approx((0.2 + 0.5 * 0.1) / 1.5)


def test_batch_without_a_face_costs_nothing() -> None:
    predicted = torch.zeros(2, 5, 3, requires_grad=True)
    loss = coordinate_loss(predicted, torch.full((2, 5, 3), -10.0), torch.zeros(2))
    loss.backward()
    assert loss == 0 and predicted.grad is not None and predicted.grad.abs().sum() == 0


def test_gradients_by_hand() -> None:
    predicted = torch.tensor([[[0.3, 0.5, 0.9]], [[0.1, 0.5, 0.4]]], requires_grad=True)
    coordinate_loss(predicted, torch.full((2, 1, 3), 0.5), torch.tensor([3.0, 1.0])).backward()
    # sign / 3 coordinates, times the row's share of the weight; 0 where there is no error.
    expected = torch.tensor([[[-0.25, 0, 0.25]], [[-1 / 12, 0, -1 / 12]]])
    torch.testing.assert_close(predicted.grad, expected)
