"""Initialise a training from trained weights, also for another markup."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from jvcr.markups.markup import Markup, Terms
from jvcr.model.checkpoint import load_weights
from jvcr.model.config import ModelConfig
from jvcr.model.jvcr import JVCR

_LAST = ("coordinate.linear.weight", "coordinate.linear.bias")


@dataclass(frozen=True)
class Taken:
    """What was taken from the weights file: number of tensors, number of landmarks in P's last layer, and the names of
    tensors that are (partly) new."""

    tensors: int
    landmarks: int
    new: tuple[str, ...]


@torch.no_grad()
def take_weights(network: JVCR, markup: Markup, path: Path) -> Taken:
    """Copy all tensors of the weights file that fit into ``network``.

    Only P's last layer depends on the landmarks, and it is linear. For a markup derived from that of the weights, its
    rows are the same weighted sums, so the network starts with the old network's predictions of the new landmarks. For
    any other markup, rows of landmarks with the same name are copied, and the others are initialised at random.

    A deeper network (``is_deeper``) starts with copies of the last stack. The features that stacks add to their input
    start at zero there, so the copies read the same input as the last stack, and the initial predictions are those of
    the old network. A network with a finer last volume (``is_finer``) starts with nearly the same predictions: each
    column of voxels becomes four equal ones.

    Raises:
        FileNotFoundError, ValueError: as ``load_weights``; or most tensors do not fit.
    """
    source, header = load_weights(path)
    theirs, ours = source.state_dict(), network.state_dict()
    if is_deeper(network.config, header.config):
        theirs = _deepened(theirs, ours, len(header.config.depths) - 1)
    elif is_finer(network.config, header.config):
        theirs = _finer(theirs, ours, len(header.config.depths) - 1)
    same_points = header.markup.same_points(markup)
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
    if same_points:
        return Taken(len(taken), markup.n_points, ())
    sources = _sources(markup, header.markup)
    for tensor in _LAST:
        ours_by_point, theirs_by_point = (s[tensor].view(-1, 3, *s[tensor].shape[1:]) for s in (ours, theirs))
        for index, terms in sources.items():
            ours_by_point[index] = sum(weight * theirs_by_point[source] for source, weight in terms)
    made = _LAST if len(sources) == markup.n_points else ()
    return Taken(len(taken), len(sources), tuple(name for name in ours if name not in (*taken, *made)))


def is_deeper(wanted: ModelConfig, theirs: ModelConfig) -> bool:
    """Whether a network differs only by extra stacks (as deep as the other's last) and its landmarks."""
    more = len(wanted.depths) - len(theirs.depths)
    repeated = theirs.depths + more * theirs.depths[-1:]
    return more > 0 and wanted == replace(theirs, depths=repeated, n_points=wanted.n_points)


def is_finer(wanted: ModelConfig, theirs: ModelConfig) -> bool:
    """Whether a network differs only by a last volume with twice the rows and columns, more channels in P, and its
    landmarks."""
    as_wide = len(wanted.regressor_channels) == len(theirs.regressor_channels) and all(
        a >= b for a, b in zip(wanted.regressor_channels, theirs.regressor_channels, strict=True)
    )
    return (theirs.subvoxels, wanted.subvoxels, as_wide) == (1, 2, True) and wanted == replace(
        theirs,
        subvoxels=2,
        detail_channels=wanted.detail_channels,
        regressor_channels=wanted.regressor_channels,
        n_points=wanted.n_points,
    )


def _deepened(theirs: dict[str, Tensor], ours: dict[str, Tensor], last: int) -> dict[str, Tensor]:
    """The tensors of a network with stacks 0 … ``last``, under the names of a deeper network."""
    theirs = theirs | _coarse_head(theirs, last)
    deepened = {}
    for name, value in ours.items():
        part, kind, *rest = name.split(".")
        if part == "voxel" and kind in ("hourglasses", "heads") and int(rest[0]) > last:
            source = ".".join((part, kind, str(last), *rest[1:]))
        else:
            source = name
        # The old last stack has no connection to a next one.
        deepened[name] = theirs[source] if source in theirs else torch.zeros_like(value)
    return deepened


def _coarse_head(theirs: dict[str, Tensor], last: int) -> dict[str, Tensor]:
    """The last stack's head for a coarse volume; empty if it already has one.

    A coarse voxel is the mean of its four voxels in the fine volume.
    """
    fine, coarse = "voxel.fine_head.", f"voxel.heads.{last}."
    head = {n.replace(fine, coarse): value for n, value in theirs.items() if n.startswith(f"{fine}block.")}
    if head:
        depth = len(theirs[f"{fine}detail.5.bias"]) if f"{fine}detail.5.bias" in theirs else None
        for kind in ("weight", "bias"):
            columns = theirs[f"{fine}columns.{kind}"]
            voxels = columns if depth is None else columns[: 4 * depth]
            head[f"{coarse}volume.{kind}"] = voxels.unflatten(0, (-1, 4)).mean(dim=1)
    return head


_WHISPER = 0.1
"""Initial scale of a widened layer's weights for its new input channels."""


def _finer(theirs: dict[str, Tensor], ours: dict[str, Tensor], last: int) -> dict[str, Tensor]:
    """The tensors of a network with coarse volumes, under the names of a network with a fine last volume."""
    head = f"voxel.heads.{last}."
    finer = {name: value for name, value in theirs.items() if not name.startswith(head)}
    for kind in ("weight", "bias"):
        columns = ours[f"voxel.fine_head.columns.{kind}"].clone()
        # Pixel shuffling takes the four columns of a cell from four consecutive channels.
        volume = theirs[f"{head}volume.{kind}"].repeat_interleave(4, dim=0)
        columns[: len(volume)] = volume
        finer[f"voxel.fine_head.columns.{kind}"] = columns
    for name, value in theirs.items():
        if name.startswith(f"{head}block."):
            finer[name.replace(head, "voxel.fine_head.")] = value
    for name in [name for name in ours if name.startswith("voxel.fine_head.detail.")][-2:]:
        finer[name] = torch.zeros_like(ours[name])  # weight and bias of its last convolution
    # Initially, P reads the mean of a cell's four columns.
    first = "coordinate.convolutions.0.weight"
    finer[first] = theirs[first].repeat_interleave(4, dim=1) / 4
    for name, value in finer.items():
        if name.startswith("coordinate.convolutions.") and value.shape != ours[name].shape:
            finer[name] = _widened(value, ours[name])
    return finer


def _widened(old: Tensor, new: Tensor) -> Tensor:
    """A layer's tensor with additional channels after the old ones."""
    widened = new.clone()
    if new.ndim > 1:
        widened[: len(old), old.shape[1] :] *= _WHISPER
        widened[: len(old), : old.shape[1]] = old
    else:
        widened[: len(old)] = old
    return widened


def _sources(markup: Markup, theirs: Markup) -> dict[int, Terms]:
    """Landmark → weighted sum of landmarks in the other markup."""
    derivation = markup.derivations.get(theirs.name)
    if derivation is not None:
        return dict(enumerate(derivation.terms))
    place = {name: index for index, name in enumerate(theirs.names)}
    return {index: ((place[name], 1.0),) for index, name in enumerate(markup.names) if name in place}
