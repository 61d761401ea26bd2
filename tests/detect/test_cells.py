from __future__ import annotations

import numpy as np
import pytest

from jvcr.detect.cells import decode

torch = pytest.importorskip("torch")

BOXES = np.array([[20.0, 30.0, 60.0, 90.0], [100.3, 11.2, 112.8, 25.9], [140.0, 140.0, 300.0, 290.5]])
ROLL_DEG = np.array([15.0, -170.0, 0.0])


def as_output(boxes: np.ndarray, roll_deg: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The output of a perfect network."""
    from jvcr.train.detector_loss import true_cells

    true = true_cells(*(torch.tensor(v)[None] for v in (boxes, kinds, roll_deg)), side=40, stride=8)
    place = torch.arange(40.0)
    x, y = place[None, None], place[None, :, None]
    centre = (true.box[..., :2] + true.box[..., 2:]) / 2
    size = (true.box[..., 2:] - true.box[..., :2]).log()
    parts = [true.heat, centre[..., 0] - x, centre[..., 1] - y, size[..., 0], size[..., 1], *true.roll.unbind(-1)]
    return torch.stack(parts, dim=1)[0].numpy()


def test_decoding_undoes_the_truth() -> None:
    found = decode(as_output(BOXES, ROLL_DEG, np.ones(3, int)).astype(np.float32), 0.9)
    order = np.argsort(found.boxes[:, 0])
    np.testing.assert_allclose(found.boxes[order], BOXES, atol=1e-3)
    np.testing.assert_allclose(found.roll_deg[order], ROLL_DEG, atol=1e-3)
    np.testing.assert_allclose(found.scores, 1.0)


def test_only_the_hottest_cells_above_the_score_are_faces() -> None:
    cells = np.zeros((7, 5, 6), np.float32)
    cells[0] = 0.1
    cells[0, 2, 3], cells[0, 2, 4], cells[0, 4, 0] = 0.9, 0.8, 0.3
    found = decode(cells, 0.2)
    assert sorted(found.scores.round(3).tolist()) == [0.3, 0.9]
    # Size 1 cell around the middle of cell (3, 2): pixels 24 to 32, whose centres are 23.5 and 31.5.
    np.testing.assert_allclose(found.boxes[found.scores.argmax()], [23.5, 15.5, 31.5, 23.5])
    assert len(decode(cells, 0.95).boxes) == 0


def test_unsure_faces_are_not_learnt() -> None:
    from jvcr.train.data.scenes import FACE, IGNORED, NOTHING
    from jvcr.train.detector_loss import true_cells

    kinds = torch.tensor([[FACE, IGNORED, NOTHING]])
    true = true_cells(torch.tensor(BOXES)[None], kinds, torch.full((1, 3), float("nan")), side=40, stride=8)
    assert true.heat.max() == 1
    assert true.heat[0, 2, 13] == 0 and true.counted[0, 2, 13] == 0  # the middle of the ignored face
    assert true.counted[0, 26, 26] == 1  # the middle of the box that holds no face
    assert float(true.share.sum()) == pytest.approx(1)
    assert not true.roll.any()


def test_a_face_whose_centre_the_frame_cuts_off_is_at_its_border() -> None:
    # Centres 10 px above the picture and 20 px right of it.
    boxes = np.array([[60.0, -110.0, 180.0, 90.0], [240.0, 100.0, 440.0, 300.0]])
    output = as_output(boxes, np.array([0.0, 30.0]), np.ones(2, int))
    assert output[0, 0, 15] == 1 and output[0, 25, 39] == 1
    found = decode(output.astype(np.float32), 0.9)
    np.testing.assert_allclose(found.boxes[np.argsort(found.boxes[:, 0])], boxes, atol=1e-3)


def test_every_face_counts_once_whatever_its_size() -> None:
    from jvcr.train.detector_loss import true_cells

    true = true_cells(torch.tensor(BOXES)[None], torch.ones(1, 3, dtype=int), torch.zeros(1, 3), side=40, stride=8)
    owners = (true.box[0, ..., 2] - true.box[0, ..., 0])[true.share[0] > 0]
    for width in (BOXES[:, 2] - BOXES[:, 0]) / 8:
        mine = (owners - width).abs() < 1e-3
        assert float(true.share[0][true.share[0] > 0][mine].sum()) == pytest.approx(1, abs=1e-5)


def test_the_loss_is_least_at_the_truth_and_its_gradient_leads_there() -> None:
    from jvcr.train.detector_loss import detector_losses, true_cells

    true = true_cells(
        *(torch.tensor(v)[None] for v in (BOXES, np.ones(3, int), ROLL_DEG.astype(np.float32))), side=40, stride=8
    )
    perfect = torch.tensor(as_output(BOXES, ROLL_DEG, np.ones(3, int)))[None]
    perfect[:, 0] = torch.logit(perfect[:, 0].clamp(1e-6, 1 - 1e-6))
    at_truth = detector_losses(perfect, true, torch.tensor(3.0), 2.0, 0.5)
    assert float(at_truth.box_loss) < 1e-4 and float(at_truth.roll_loss) < 1e-4
    worse = perfect.clone()
    worse[:, 1] += 0.5
    worse[:, 5:7] = worse[:, [6, 5]]
    assert float(detector_losses(worse, true, torch.tensor(3.0), 2.0, 0.5).loss) > float(at_truth.loss) + 0.1
    start = torch.zeros_like(perfect).requires_grad_()
    optimiser = torch.optim.Adam([start], lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        detector_losses(start, true, torch.tensor(3.0), 2.0, 0.5).loss.backward()
        optimiser.step()
    cells = torch.cat([start[:, :1].sigmoid(), start[:, 1:]], dim=1).detach().numpy()[0]
    found = decode(cells, 0.8)
    order = np.argsort(found.boxes[:, 0])
    np.testing.assert_allclose(found.boxes[order], BOXES, atol=2.5)


def test_generalised_overlap_by_hand() -> None:
    from jvcr.train.detector_loss import generalised_overlap

    a = torch.tensor([[0.0, 0.0, 2.0, 2.0]] * 3)
    b = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [3.0, 0.0, 5.0, 2.0]])
    # The same; overlap 2 of 6, hull 6; apart, hull 10 with 8 covered.
    np.testing.assert_allclose(generalised_overlap(a, b), [1.0, 1 / 3, -0.2], atol=1e-6)
