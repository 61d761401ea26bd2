"""Average weights of the same network, such as the parts of one training.

    python recipes/average_weights.py DATA OUT.safetensors PRESET WEIGHTS[*SHARE] WEIGHTS[*SHARE] …

The parts of a training that each start at a high rate again end at different points of one valley; their mean lies
deeper in it (stochastic weight averaging, Izmailov et al. 2018). The statistics of the batch norms do not average, so
they are measured anew, on 160 batches of training crops. The header is that of the last file.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from jvcr.data.table import Table
from jvcr.model.checkpoint import load_weights, save_weights
from jvcr.model.jvcr import JVCR
from jvcr.train.data.backgrounds import read_backgrounds
from jvcr.train.landmarks import LandmarkTask
from jvcr.train.recipes import RECIPES
from jvcr.train.vary import Rows, vary_pixels

BATCHES = 160


def average(model: JVCR, others: list[JVCR], shares: np.ndarray) -> None:
    """Replace the weights of a network by the weighted mean of those of several."""
    states = [other.state_dict() for other in others]
    mean = {
        name: sum(share * state[name].double() for share, state in zip(shares, states, strict=True)).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(mean)


def measure_statistics(model: JVCR, task: LandmarkTask) -> None:
    """Mean and variance of every batch norm's input, over training crops."""
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d)]
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        for number, batch in zip(range(BATCHES), task.batches(0, slice(None)), strict=False):
            rows = Rows(len(batch.crops), 0, len(batch.crops))
            model(vary_pixels(batch.crops, task.config.augmentation, rows, number))
    for norm, value in zip(norms, momentum, strict=True):
        norm.momentum = value
    model.eval()


def main() -> None:
    data, out, preset = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    files = [argument.partition("*") for argument in sys.argv[4:]]
    shares = np.array([float(share or 1) for _, _, share in files])
    loaded = [load_weights(Path(name)) for name, _, _ in files]
    model, header = load_weights(Path(files[-1][0]))
    average(model, [one for one, _ in loaded], shares / shares.sum())
    recipe = RECIPES[preset]
    # As in the last part of the training.
    config = replace(
        recipe,
        seed=99,
        workers=0,
        augmentation=replace(
            recipe.augmentation, any_roll_share=0.05, truncated_share=0.1, coarse_share=0.17, coarsest=0.13
        ),
        sampling=replace(recipe.sampling, closed_eyes=4.0),
    )
    task = LandmarkTask(config, header.markup, Table(data, "train"), Table(data, "val"), read_backgrounds(data))
    measure_statistics(model, task)
    save_weights(out, model, header)


main()
