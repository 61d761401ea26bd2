"""Start a training from trained weights, also with another markup."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from jvcr.markup import Markup
from jvcr.model.checkpoint import load_weights
from jvcr.model.jvcr import JVCR

_LAST = ("coordinate.linear.weight", "coordinate.linear.bias")


@dataclass(frozen=True)
class Taken:
    """What came from the weights file: tensors as they are, landmarks by name, and what stays as it was drawn."""

    tensors: int
    landmarks: int
    new: tuple[str, ...]


@torch.no_grad()
def take_weights(network: JVCR, markup: Markup, path: Path) -> Taken:
    """Copy into ``network`` all tensors of the weights file that fit it.

    Only P's last layer depends on the landmarks. With another markup, the rows of those that have the same name in both
    are taken; the others start anew.

    Raises:
        FileNotFoundError, ValueError: as ``load_weights``; or nothing but single tensors fits.
    """
    source, header = load_weights(path)
    theirs, ours = source.state_dict(), network.state_dict()
    same_points = header.markup.name == markup.name and header.markup.mirror == markup.mirror
    taken = [
        name
        for name, value in ours.items()
        if name in theirs and theirs[name].shape == value.shape and (same_points or name not in _LAST)
    ]
    if len(taken) < len(ours) // 2:
        raise ValueError(
            f"{path}: only {len(taken)} of {len(ours)} tensors fit this network; choose the preset of the weights' own "
            f"sizes ({header.config})"
        )
    for name in taken:
        ours[name].copy_(theirs[name])
    landmarks = markup.n_points if same_points else 0
    if not same_points:
        place = {name: index for index, name in enumerate(header.markup.names)}
        for index, name in enumerate(markup.names):
            if name in place:
                landmarks += 1
                for tensor in _LAST:
                    rows_ours, rows_theirs = (s[tensor].view(-1, 3, *s[tensor].shape[1:]) for s in (ours, theirs))
                    rows_ours[index].copy_(rows_theirs[place[name]])
    return Taken(len(taken), landmarks, tuple(name for name in ours if name not in taken))
