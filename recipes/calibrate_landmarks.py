"""Fit visibility and σ of single landmarks (``jvcr.runtime.landmark_confidence``) to a landmark network.

    python recipes/calibrate_landmarks.py DATA WEIGHTS.onnx ABOUT.json [FACES]

Runs the network, with flip averaging, on augmented crops of FACES training faces (9,000 by default). Some are cut by
the frame, two fifths are partly covered by random shapes or a medical mask, many are blurred, dark or coarse. A network
with one hidden layer learns two things from the landmark network's output: which landmarks are visible (hand-marked as
visible, and not covered), and how far each is off. Then σ is corrected on validation faces
(``sigma_on_validation.py``).

The weights go to ABOUT.json; ``release_weights.py`` copies them to the header of the landmark network. Then run
``calibrate_score.py``, which uses σ. Takes ten minutes on one core.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from sigma_on_validation import DEGREES_OF_FREEDOM, corrected
from torch import nn

from jvcr.data.table import Table
from jvcr.frames import diagonals, unit_to_crop
from jvcr.images import Image
from jvcr.locate import heights_at
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime.backends import open_backend
from jvcr.runtime.landmark_confidence import LandmarkConfidence, inputs_of
from jvcr.runtime.mirror import MirrorAveraged
from jvcr.train.data.augment import Augmentation, augment
from jvcr.train.data.backgrounds import Backgrounds, read_backgrounds
from jvcr.train.data.masks import with_mask
from jvcr.train.vary import Rows, vary_pixels

N = MARKUP_68.n_points
HIDDEN_UNITS, EPOCHS, BATCH = 96, 60, 128
COVERED_SHARE = 0.4
MASKED_SHARE = 0.2
"""Of the covered faces."""


AUGMENTED = Augmentation(
    scale=0.06,
    shift=0.025,
    rotation_share=1.0,
    rotation_deg=6.0,
    flip_share=0.0,
    light_share=0.5,
    grey_share=0.05,
    blur_share=0.12,
    coarse_share=0.15,
    coarsest=0.1,
    noise_share=0.1,
    occlusion_share=0.0,
    truncated_share=0.1,
    no_face_share=0.0,
)


@dataclass
class Faces:
    """inputs (B, F); errors (B, N, 2) in diagonals; visible (B, N) 1, 0, or -1 if unknown; weights (B,)."""

    inputs: torch.Tensor
    errors: torch.Tensor
    visible: torch.Tensor
    weights: torch.Tensor


def covered(
    image: Image, points_crop: np.ndarray, backgrounds: Backgrounds, rng: np.random.Generator
) -> tuple[Image, np.ndarray]:
    """A crop with one or two shapes over the face, and (N,) which landmarks they hide."""
    size = len(image)
    low, extent = points_crop[:, :2].min(axis=0), np.ptp(points_crop[:, :2], axis=0)
    hidden = np.zeros(len(points_crop), bool)
    for _ in range(int(rng.integers(1, 3))):
        centre, sides = low + rng.uniform(-0.05, 1.05, 2) * extent, extent * rng.uniform(0.2, 0.84, 2)
        place = (tuple(centre.tolist()), tuple(sides.tolist()), float(rng.uniform(0, 180)))
        mask = np.zeros((size, size), np.uint8)
        if rng.random() < 0.5:
            cv2.ellipse(mask, place, 1, cv2.FILLED)
        else:
            cv2.fillPoly(mask, [np.rint(cv2.boxPoints(place)).astype(int)], 1)
        kind = rng.random()
        if kind < 0.35:
            fill = np.full_like(image, rng.integers(0, 256, 3))
        elif kind < 0.7:
            fill = backgrounds.patch(size, rng)
        else:
            fill = np.roll(image, rng.integers(-50, 50, 2).tolist(), (0, 1))
        image = np.where(mask[..., None] > 0, fill, image)
        x, y = np.rint(points_crop[:, :2]).astype(int).T
        inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        hidden[inside] |= mask[y[inside], x[inside]] > 0
    return image, hidden


class Looker:
    """Runs the network on random crops of a table's faces."""

    def __init__(self, data: Path, weights: Path) -> None:
        self.runtime = MirrorAveraged(open_backend(weights, threads=1))
        self.backgrounds = read_backgrounds(data)

    def look(self, table: Table, rows: np.ndarray, seed: int) -> Faces:
        """Inputs and targets of random crops of these rows."""
        batches = list(self._batches(table, rows, np.random.default_rng(seed)))
        return Faces(*(torch.from_numpy(np.concatenate(values)).float() for values in zip(*batches, strict=True)))

    def _batches(self, table: Table, rows: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
        size = self.runtime.image_size
        for start in range(0, len(rows), 8):
            crops, truths, visible, weights = [], [], [], []
            for row in rows[start : start + 8]:
                sample = table[int(row)]
                crop = augment(sample, size, MARKUP_68, AUGMENTED, self.backgrounds, rng, self.runtime.crop_rule)
                if not crop.weight:
                    continue  # an upside-down face among the truncated ones: no face
                image, seen = crop.image, np.where(sample.visibility < 0, -1, sample.visibility == 0)
                points_crop = unit_to_crop(crop.points_unit, size)
                if rng.random() < COVERED_SHARE:
                    if rng.random() < MASKED_SHARE:
                        image, hidden = with_mask(image, points_crop, rng)
                    else:
                        image, hidden = covered(image, points_crop, self.backgrounds, rng)
                    # Where nothing is known of the others, hidden landmarks alone would teach that all are hidden.
                    seen[hidden & (seen >= 0)] = 0
                crops.append(image)
                truths.append(crop.points_unit)
                visible.append(seen)
                weights.append(crop.weight)
            if not crops:
                continue
            pixels = vary_pixels(torch.from_numpy(np.stack(crops)), AUGMENTED, Rows(len(crops), 0, len(crops)), start)
            prediction = self.runtime(pixels.round().clamp(0, 255).to(torch.uint8).numpy())
            errors = (prediction.points_unit - np.stack(truths))[..., :2]
            yield (
                inputs_of(prediction.points_unit, heights_at(prediction)),
                errors / diagonals(prediction.points_unit)[:, None, None],
                np.stack(visible),
                np.array(weights),
            )
            if start % 800 == 0:
                print(f"{start} of {len(rows)} faces", flush=True)


class Network(nn.Module):
    """Inputs → logits of visibility and log σ, (B, N) each."""

    def __init__(self, inputs: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.factor = inputs.mean(dim=0), 1 / (inputs.std(dim=0) + 1e-3)
        self.first, self.second = nn.Linear(inputs.shape[1], HIDDEN_UNITS), nn.Linear(HIDDEN_UNITS, 2 * N)
        self.dropout = nn.Dropout(0.1)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.relu(self.first((inputs - self.mean) * self.factor))
        logit, log_sigma = self.second(self.dropout(hidden)).split(N, dim=1)
        return logit, log_sigma.clamp(-7, 0)

    def packed(self) -> LandmarkConfidence:
        """Its weights as the header stores them."""
        layers = (torch.column_stack([layer.weight, layer.bias]) for layer in (self.first, self.second))
        arrays = (torch.stack([self.mean, self.factor]), *layers)
        return LandmarkConfidence(*(array.detach().numpy().astype(np.float32) for array in arrays))


def loss_of(network: Network, faces: Faces, rows: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of visibility, where it is known, and the negative log-likelihood of the errors."""
    logit, log_sigma = network(faces.inputs[rows])
    visible, weight = faces.visible[rows], faces.weights[rows]
    known = (visible >= 0).float()
    entropy = nn.functional.binary_cross_entropy_with_logits(logit, visible.clamp(min=0), known, reduction="sum")
    squares = (faces.errors[rows].clamp(-0.3, 0.3) / log_sigma.exp()[..., None]) ** 2
    tails = (DEGREES_OF_FREEDOM + 1) / 2 * torch.log1p(squares / DEGREES_OF_FREEDOM)
    likelihood = (tails + log_sigma[..., None]).mean(dim=(1, 2))
    return entropy / known.sum().clamp(min=1) + (weight * likelihood).sum() / weight.sum()


def fitted(faces: Faces) -> Network:
    """The network after training on these faces."""
    torch.manual_seed(0)
    network, count = Network(faces.inputs), len(faces.inputs)
    steps = max(1, EPOCHS * count // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        loss = loss_of(network, faces, torch.randint(0, count, (BATCH,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def chosen_rows(table: Table, count: int, rng: np.random.Generator) -> np.ndarray:
    """Training rows; those with known visibility and turned heads more often."""
    rates = np.where((table.visibility >= 0).any(axis=1), 1.0, 0.25) * np.where(np.abs(table.yaw_deg) > 45, 1.5, 1.0)
    return rng.choice(len(table), min(count, len(table)), replace=False, p=rates / rates.sum())


def main() -> None:
    data, weights, about_path = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 9_000
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    looker = Looker(data, weights)
    table, validation = Table(data, "train"), Table(data, "val")
    training = looker.look(table, chosen_rows(table, count, np.random.default_rng(1)), 1)
    network = fitted(training)
    confidence = corrected(network.packed(), looker.runtime, validation)
    about = json.loads(about_path.read_text(encoding="utf-8"))
    about.setdefault("confidence", {})["landmarks"] = confidence.to_dict()
    about_path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
