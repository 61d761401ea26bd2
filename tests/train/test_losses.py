from __future__ import annotations

import pytest
import torch

from jvcr.train.losses import LossConfig, coordinate_loss, voxel_loss

OURS = LossConfig(foreground=9.0)
PLAIN = LossConfig(foreground=0.0)


def test_voxel_loss_by_hand() -> None:
    true = [torch.zeros(2, 1, 3, 5), torch.zeros(2, 4, 3, 5)]
    true[1][1, 2, 1, 3] = 0.5
    predicted = [torch.full((2, 1, 3, 5), 0.1), torch.zeros(2, 4, 3, 5)]
    predicted[1][1, 2, 1, 3] = 2.5
    # 0.1² everywhere, and 2² on one of 120 voxels, weighed 1 + 9 · 0.5.
    assert voxel_loss(predicted, true, OURS).item() == pytest.approx(0.01 + 5.5 * 4 / 120)
    assert voxel_loss(predicted, true, PLAIN).item() == pytest.approx(0.01 + 4 / 120)


def test_voxel_loss_as_published_by_hand() -> None:
    true, predicted = torch.zeros(2, 4, 3, 5), torch.full((2, 4, 3, 5), 0.1)
    # Eq. 3 sums 60 voxels of 0.1² in units of the peak of eq. 1, here 1/4.
    how = LossConfig(foreground=0.0, peak=0.25, voxel_sum=True)
    assert voxel_loss([predicted], [true], how).item() == pytest.approx(60 * 0.01 / 16)


def test_voxel_loss_needs_as_many_volumes() -> None:
    with pytest.raises(ValueError, match="zip"):
        voxel_loss([torch.zeros(1, 2, 3, 3)], [], OURS)


def test_coordinate_loss_by_hand() -> None:
    true = torch.zeros(3, 5, 3)
    predicted = torch.zeros(3, 5, 3)
    predicted[0] += 0.2
    predicted[1, 4, 1] = -1.5  # mean 0.1 over the row's 15 coordinates
    predicted[2] -= 10.0
    # The third row has no face.
    weight = torch.tensor([1.0, 0.5, 0.0])
    assert coordinate_loss(predicted, true, weight, OURS, 16).item() == pytest.approx((0.2 + 0.5 * 0.1) / 1.5)


def test_coordinate_loss_as_published_by_hand() -> None:
    true, predicted = torch.zeros(2, 5, 3), torch.zeros(2, 5, 3)
    predicted[1, 2, 0] = 0.5
    # Half the crop is 8 of 16 voxels; eq. 4 squares and sums; the batch has two rows.
    how = LossConfig(squared=True, coordinate_sum=True, coordinate_unit="voxel")
    assert coordinate_loss(predicted, true, torch.ones(2), how, 16).item() == pytest.approx(64 / 2)
    # A batch shared by two devices, the other of which has the weights 1 and 0: 1.5 on the mean.
    shared = coordinate_loss(predicted, true, torch.ones(2), how, 16, weight_sum=torch.tensor(1.5))
    assert shared.item() == pytest.approx(64 / 1.5)


def test_structure_term_by_hand() -> None:
    true, predicted = torch.zeros(2, 5, 3), torch.zeros(2, 5, 3)
    predicted[0] += 0.3  # moved as a whole: no edge changes
    predicted[1, 2, 0] = 0.6  # one end of two of the three edges
    how = LossConfig(structure=0.5)
    edges = torch.tensor([[0, 1], [1, 2], [2, 3]])
    points, structure = (0.3 + 0.6 / 15) / 2, (2 * 0.6 / 9) / 2
    loss = coordinate_loss(predicted, true, torch.ones(2), how, 16, edges=edges)
    assert loss.item() == pytest.approx(points + 0.5 * structure)
    with pytest.raises(ValueError, match="structure"):
        LossConfig(structure=-1.0)


def test_a_finer_volume_counts_by_its_columns() -> None:
    # A blob of one voxel, unseen: in a volume of twice as many rows and columns it is as bad as in the first.
    true = [torch.zeros(1, 2, 3, 5), torch.zeros(1, 2, 6, 10)]
    predicted = [volume.clone() for volume in true]
    true[0][0, 1, 2, 3] = 1.0
    first = voxel_loss(predicted, true, PLAIN).item()
    assert first == pytest.approx(1 / 30)
    true[1][0, 1, 4, 7] = 1.0
    assert voxel_loss(predicted, true, PLAIN).item() == pytest.approx(first + 4 / 120)


def test_doubtful_voxels_count_less() -> None:
    true, predicted = torch.zeros(1, 2, 3, 5), torch.full((1, 2, 3, 5), 0.1)
    doubtful = torch.zeros(1, 2, 3, 5)
    doubtful[0, 0] = 1.0
    doubtful[0, 1, 1, 1] = 0.75
    assert voxel_loss([predicted], [true], PLAIN, [doubtful]).item() == pytest.approx(0.01 * (14 + 0.25) / 30)


def test_gaps_term_by_hand() -> None:
    true, predicted = torch.zeros(2, 5, 3), torch.zeros(2, 5, 3)
    predicted[0] += 0.3  # moved as a whole: no gap changes
    predicted[1, 4, 1] = -0.6  # one side of one of the two gaps
    gaps = torch.tensor([[1, 4], [2, 3]])
    points, opening = (0.3 + 0.6 / 15) / 2, (0.6 / 6) / 2
    loss = coordinate_loss(predicted, true, torch.ones(2), LossConfig(gaps=5.0), 16, gaps=gaps)
    assert loss.item() == pytest.approx(points + 5 * opening)
    with pytest.raises(ValueError, match="gaps"):
        LossConfig(gaps=float("nan"))


def test_untaught_landmarks_and_their_gaps_count_as_right() -> None:
    true, predicted = torch.zeros(1, 5, 3), torch.zeros(1, 5, 3)
    predicted[0, 4] = 9.0
    predicted[0, 0, 2] = 0.3
    taught = torch.tensor([[True, True, True, True, False]])
    gaps = torch.tensor([[1, 4], [2, 3]])
    loss = coordinate_loss(predicted, true, torch.ones(1), LossConfig(gaps=5.0), 16, gaps=gaps, taught=taught)
    assert loss.item() == pytest.approx(0.3 / 15)


def test_batch_without_a_face_costs_nothing() -> None:
    predicted = torch.zeros(2, 5, 3, requires_grad=True)
    loss = coordinate_loss(predicted, torch.full((2, 5, 3), -10.0), torch.zeros(2), OURS, 16)
    loss.backward()
    assert loss == 0 and predicted.grad is not None and predicted.grad.abs().sum() == 0


def test_gradients_by_hand() -> None:
    predicted = torch.tensor([[[0.3, 0.5, 0.9]], [[0.1, 0.5, 0.4]]], requires_grad=True)
    coordinate_loss(predicted, torch.full((2, 1, 3), 0.5), torch.tensor([3.0, 1.0]), OURS, 16).backward()
    # sign / 3 coordinates, times the row's share of the weight; 0 where there is no error.
    expected = torch.tensor([[[-0.25, 0, 0.25]], [[-1 / 12, 0, -1 / 12]]])
    torch.testing.assert_close(predicted.grad, expected)
