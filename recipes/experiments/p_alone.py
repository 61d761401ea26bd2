"""Measure the error caused by P: train it on perfect volumes of unlimited shapes, test it on those of validation faces.

    python recipes/experiments/p_alone.py DATA [STEPS]

Shapes are training faces with random yaw, pitch and roll, with expression and proportions exaggerated or damped about
the mean head, at random positions and sizes in the crop. Training starts from the shipped P.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from jvcr.data.table import Table
from jvcr.frames import Crop, crop_to_unit
from jvcr.geometry import align, mean_shape_68, rotation_from_angles
from jvcr.metrics import normalised_mean_error
from jvcr.model.checkpoint import load_weights
from jvcr.train.targets import rasterise
from jvcr.weights import weights_path

data, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3000
BATCH = 32
rng = np.random.default_rng(0)
mean = mean_shape_68()
model, header = load_weights(weights_path("small", ".safetensors"))
heads = np.stack([align(points, mean).apply(points) for points in Table(data, "train").points[::4]])
validation = Table(data, "val")
truth = []
for row in range(len(validation)):
    crop = Crop.from_box(validation[row].box, 128, rule=header.config.crop)
    truth.append(crop_to_unit(crop.to_crop(validation[row].points_img), 128))
truth_unit = torch.from_numpy(np.stack(truth)).float()


def shapes() -> torch.Tensor:
    out = []
    for row in rng.integers(0, len(heads), BATCH):
        head = mean + rng.uniform(0.6, 1.4) * (heads[row] - mean)
        head = head @ rotation_from_angles(rng.uniform(-90, 90), rng.uniform(-45, 45), rng.normal(0, 20)).T
        low, high = head[:, :2].min(axis=0), head[:, :2].max(axis=0)
        head = (head - [*(low + high) / 2, head[:, 2].mean()]) / (high - low).max() / 1.6
        out.append(head * np.exp(rng.normal(0, 0.12)) + [*(0.5 + rng.normal(0, 0.045, 2)), 0.5])
    return torch.from_numpy(np.stack(out)).float()


def error(network: torch.nn.Module) -> str:
    network.eval()
    with torch.no_grad():
        said = torch.cat([network(rasterise(part, header.config.compact_shape)) for part in truth_unit.split(64)])
    network.train()
    nme = normalised_mean_error(said.numpy(), truth_unit.numpy())
    depth = (said - truth_unit)[..., 2].abs().mean().item() * 1.6
    return f"NME {100 * nme.mean():.2f} %, depth {100 * depth:.2f} % of the box"


p = model.coordinate.train()
print(f"the shipped P, trained on G's volumes: {error(p)}")
optimizer = torch.optim.AdamW(p.parameters(), lr=1e-3)
for step in range(steps):
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * step / steps)) + 1e-5
    points = shapes()
    loss = (p(rasterise(points, header.config.compact_shape)) - points).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (step + 1) % (steps // 5) == 0:
        print(f"{BATCH * (step + 1)} shapes: {error(p)}", flush=True)
