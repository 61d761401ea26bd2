"""The detector's true cells and losses, on the training device."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jvcr.frames import rescaled
from jvcr.train.data.scenes import FACE, IGNORED

_SPREAD = 0.1
"""Standard deviation of a face's heat, in sides of its box."""

_LEAST_SPREAD_CELLS = 0.6
_MIDDLE = 0.3
"""Cells of at least this true heat also learn box and roll."""


class Cells(NamedTuple):
    """What the network should say, a cell.

    heat (B, H, W): 0…1, 1 in the cell nearest to a face's middle. counted (B, H, W): 0 where nothing is to be learnt.
    share (B, H, W): what a cell counts in the loss of its face's box and roll; its sum over the face's cells is 1.
    box (B, H, W, 4): x0, y0, x1, y1 in cells, of the face that is nearest. roll (B, H, W, 2): cosine, sine; 0 where
    unknown.
    """

    heat: Tensor
    counted: Tensor
    share: Tensor
    box: Tensor
    roll: Tensor


def true_cells(boxes: Tensor, kinds: Tensor, roll_deg: Tensor, side: int, stride: int) -> Cells:
    """From the faces of scenes: boxes (B, K, 4) in pixels, kinds (B, K), roll_deg (B, K)."""
    cells = rescaled(boxes.float(), 1 / stride)
    place = torch.arange(side, device=boxes.device, dtype=torch.float32)
    centre = (cells[..., :2] + cells[..., 2:]) / 2
    size = (cells[..., 2:] - cells[..., :2]).clamp(min=1e-3)
    spread = (_SPREAD * size).clamp(min=_LEAST_SPREAD_CELLS)
    offset = place - centre[..., None]  # (B, K, 2, side)
    bell = torch.exp(-(offset**2) / (2 * spread[..., None] ** 2))
    heat = bell[:, :, 1, :, None] * bell[:, :, 0, None, :]  # (B, K, H, W)
    # The centre of a truncated face may be outside: then the nearest cell at the border.
    nearest = centre.round().clamp(0, side - 1)
    at_x, at_y = (nearest[..., axis, None] == place for axis in (0, 1))
    heat = torch.where(at_y[..., :, None] & at_x[..., None, :], torch.ones_like(heat), heat)
    heat = heat * (kinds == FACE)[..., None, None]
    best, owner = heat.max(dim=1)
    # A little more than the box itself: just beside an unsure face, nothing is sure either.
    reach = 0.6 * size[..., None]
    inside = offset.abs() <= reach
    hidden = (inside[:, :, 1, :, None] & inside[:, :, 0, None, :] & (kinds == IGNORED)[..., None, None]).any(dim=1)
    near = torch.where(best >= _MIDDLE, best, torch.zeros_like(best)).flatten(1)
    whole = torch.zeros(kinds.shape, device=boxes.device).scatter_add_(1, owner.flatten(1), near)
    share = (near / whole.gather(1, owner.flatten(1)).clamp(min=1e-6)).view_as(best)
    rows = torch.arange(len(boxes), device=boxes.device)[:, None, None]
    angle = torch.deg2rad(roll_deg.float())
    roll = torch.stack([angle.cos(), angle.sin()], dim=-1).nan_to_num(0.0)
    return Cells(best, (~hidden | (best >= _MIDDLE)).float(), share, cells[rows, owner], roll[rows, owner])


class DetectorLosses(NamedTuple):
    """Scalars. ``loss`` is what is minimised."""

    loss: Tensor
    heat_loss: Tensor
    box_loss: Tensor
    roll_loss: Tensor


def detector_losses(
    output: Tensor, true: Cells, faces: Tensor, box_weight: float, roll_weight: float
) -> DetectorLosses:
    """Losses of (B, 7, H, W) cells, per face.

    Heat: quality focal loss, cross entropy times the squared distance from the truth. Boxes: 1 − GIoU. Roll:
    squared distance of cosine and sine. (1 − the cosine of the angle between was not learnt: the outputs' length grew
    first, which takes its gradient away.)

    Args:
        faces: how many there are; divides the sums.
    """
    logit = output[:, 0]
    gap = (logit.sigmoid() - true.heat).abs()
    entropy = F.binary_cross_entropy_with_logits(logit, true.heat, reduction="none")
    heat = (entropy * gap**2 * true.counted).sum() / faces
    # Large faces have many cells; each face counts once all the same.
    box = ((1 - generalised_overlap(box_of(output), true.box)) * true.share).sum() / faces
    known = true.share * (true.roll.abs().sum(dim=-1) > 0)
    roll = ((output[:, 5:7].permute(0, 2, 3, 1) - true.roll).square().sum(dim=-1) * known).sum() / faces
    return DetectorLosses(heat + box_weight * box + roll_weight * roll, heat, box, roll)


def box_of(output: Tensor) -> Tensor:
    """(B, 7, H, W) cells → (B, H, W, 4) boxes: x0, y0, x1, y1 in cells."""
    height, width = output.shape[2:]
    x = torch.arange(width, device=output.device) + output[:, 1]
    y = torch.arange(height, device=output.device)[:, None] + output[:, 2]
    half_width, half_height = (output[:, channel].clamp(-6, 6).exp() / 2 for channel in (3, 4))
    return torch.stack([x - half_width, y - half_height, x + half_width, y + half_height], dim=-1)


def generalised_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union (Rezatofighi et al. 2019) of (…, 4) boxes, -1…1."""
    meet = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(dim=-1)
    area_a, area_b = ((v[..., 2:] - v[..., :2]).prod(dim=-1) for v in (a, b))
    union = (area_a + area_b - meet).clamp(min=1e-6)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(dim=-1).clamp(min=1e-6)
    return meet / union - (hull - union) / hull
