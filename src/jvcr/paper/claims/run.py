"""Test the paper's claims: train JVCR and its alternatives with the same small budget, and compare them."""

from __future__ import annotations

import csv
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jvcr.data.table import Table
from jvcr.evaluate.errors import landmark_errors
from jvcr.evaluate.run_network import Predictions, predict_samples
from jvcr.markups.markup import MARKUP_68, Markup
from jvcr.metrics import YAW_BINS_DEG, normalised_mean_error
from jvcr.model.checkpoint import write_atomically
from jvcr.model.config import ModelConfig
from jvcr.paper.claims.learners import DirectLearner, TwoStepLearner, VolumePerLandmarkLearner
from jvcr.train.config import Stage, TrainConfig, two_stages
from jvcr.train.data.backgrounds import Backgrounds
from jvcr.train.landmarks import LandmarkTask
from jvcr.train.learner import JVCRLearner, Learner, Part
from jvcr.train.loop import Listener, Loop
from jvcr.train.precision import resolved
from jvcr.train.recipes import RECIPES
from jvcr.train.vary import Rows

PRESETS_OF_CLAIMS = ("small", "nano", "paper-size", "tiny")
_COORDINATES = 20.0


@dataclass(frozen=True)
class Variant:
    """One row of the comparison.

    Attributes:
        learner: network and losses.
        stages: number of samples, and the preset's recipe → training stages.
        coarse_to_fine: whether the first hourglass's volume has fewer slices than the last one's.
    """

    title: str
    learner: Callable[[TrainConfig, ModelConfig, Markup], Learner]
    stages: Callable[[int, TrainConfig], tuple[Stage, ...]]
    coarse_to_fine: bool = True


def _two(samples: int, recipe: TrainConfig) -> tuple[Stage, ...]:
    """Side by side for the same share of the samples as in the recipe, then end to end."""
    first = recipe.stages[0]
    return two_stages(samples, first.samples / recipe.total_samples, first.lr, _COORDINATES)


def _one(end_to_end: bool) -> Callable[[int, TrainConfig], tuple[Stage, ...]]:
    def stages(samples: int, recipe: TrainConfig) -> tuple[Stage, ...]:
        name = "end to end" if end_to_end else "side by side"
        noise = 0.0 if end_to_end else 0.05
        lr = recipe.stages[0].lr
        return (
            Stage(name, samples, end_to_end, _COORDINATES, lr, lr / 100, round(samples * 0.01), volume_noise=noise),
        )

    return stages


VARIANTS: dict[str, Variant] = {
    "a": Variant("JVCR", JVCRLearner, _two),
    "b": Variant("two steps: 2D heatmaps, then depth", TwoStepLearner, _two),
    "c": Variant("direct coordinate regression", DirectLearner, _one(end_to_end=True)),
    "d": Variant("one volume per landmark", VolumePerLandmarkLearner, _one(end_to_end=True)),
    "e": Variant("JVCR, not coarse to fine", JVCRLearner, _two, coarse_to_fine=False),
    "f": Variant("JVCR, without the end-to-end stage", JVCRLearner, _one(end_to_end=False)),
    "g": Variant("JVCR, without pre-training", JVCRLearner, _one(end_to_end=True)),
}


def configuration(name: str, samples: int, seed: int, preset: str, validations: int = 4) -> TrainConfig:
    """Configuration of one variant: the preset's recipe, with the variant's stages and depths.

    The loss has no term on the gaps of lids and lips, because most alternatives have none to compare it with.
    """
    if preset not in PRESETS_OF_CLAIMS:
        raise ValueError(f"preset {preset!r} cannot be used here; expected one of {', '.join(PRESETS_OF_CLAIMS)}")
    variant, base = VARIANTS[name], RECIPES[preset]
    model = base.model
    if not variant.coarse_to_fine:
        model = replace(model, depths=(model.depths[-1],) * len(model.depths))
    return replace(
        base,
        model=model,
        stages=variant.stages(samples, base),
        loss=replace(base.loss, gaps=0.0),
        seed=seed,
        pictures=0,
        validate_every=max(1, samples // validations),
    )


@dataclass(frozen=True)
class Outcome:
    """Accuracy of one variant on the validation rows, as ratios.

    Attributes:
        nme_half_width: half the width of the 95 % bootstrap interval of ``nme``.
        nme_median: median over the faces, which is robust to outliers.
    """

    variant: str
    preset: str
    samples: int
    seed: int
    nme_bins: tuple[float, ...]
    nme: float
    nme_half_width: float
    nme_median: float
    gte: float


@dataclass(frozen=True)
class Cost:
    """Cost of one variant.

    Attributes:
        step_mb: peak memory that three training steps add to a process.
        volume_mb: size of the true volumes (or heatmaps) of one batch, if they are built.
        images_per_s: throughput of the fastest of three training steps.
        face_ms: forward pass of one face, one thread, float32.
    """

    parameters: int
    step_mb: float
    volume_mb: float
    images_per_s: float
    face_ms: float


def train_variant(
    name: str,
    table: Table,
    validation: Table,
    backgrounds: Backgrounds,
    out: Path,
    listener: Listener,
    samples: int,
    seed: int,
    preset: str = "small",
    validations: int = 4,
) -> Outcome:
    """Train one variant (or resume its training), measure it, and write the outcome to ``out/outcome.json``."""
    config = configuration(name, samples, seed, preset, validations)
    torch.manual_seed(seed)
    learner = VARIANTS[name].learner(config, config.model, MARKUP_68)
    task = LandmarkTask(config, MARKUP_68, table, validation, backgrounds, learner=learner)
    training = Loop(task, out, listener)
    training.run()
    runtime = learner.runtime(training.average, None)
    predictions = predict_samples(runtime, (validation[row] for row in range(len(validation))))
    result = landmark_errors(predictions, MARKUP_68.normaliser)
    assert result.gte is not None
    outcome = Outcome(
        variant=name,
        preset=preset,
        samples=samples,
        seed=seed,
        nme_bins=result.nme.bins,
        nme=result.nme.mean,
        nme_half_width=_half_width(predictions),
        nme_median=float(np.median(normalised_mean_error(predictions.points_img, predictions.target_img))),
        gte=result.gte,
    )
    _write(out / "outcome.json", asdict(outcome))
    return outcome


def measure_cost(name: str, out: Path, preset: str = "small") -> Cost:
    """Measure the cost of a variant and write it to ``out/cost.json``. Needs an otherwise idle machine."""
    cost = cost_of(name, preset)
    _write(out / "cost.json", asdict(cost))
    return cost


def _write(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=1)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _half_width(predictions: Predictions) -> float:
    """Half the width of the 95 % bootstrap interval; faces are resampled within each yaw bin."""
    rng = np.random.default_rng(0)
    errors = normalised_mean_error(predictions.points_img, predictions.target_img)
    size = np.abs(predictions.yaw_deg)
    bins = [errors[(size <= high) & ((size > low) if low else True)] for low, high in YAW_BINS_DEG]
    means = [np.mean([rng.choice(found, len(found)).mean() for found in bins if len(found)]) for _ in range(2000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(high - low) / 2


def cost_of(name: str, preset: str) -> Cost:
    """Measure the cost in a separate process, so that memory used elsewhere does not count."""
    code = f"from jvcr.paper.claims.run import print_cost; print_cost({name!r}, {preset!r})"
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring variant {name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return Cost(**json.loads(done.stdout))


def print_cost(name: str, preset: str, steps: int = 3) -> None:
    """Measure one variant in this process and print its ``Cost`` as JSON."""
    config = configuration(name, 1000, 0, preset)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = np.random.default_rng(0)
    size, batch, n = config.model.image_size, config.batch_size, config.model.n_points
    before_mb = _start_counting(device)
    learner = VARIANTS[name].learner(config, config.model, MARKUP_68)
    network = learner.network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    part = Part(
        crops=torch.from_numpy(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)).to(device),
        points_unit=torch.from_numpy(rng.uniform(0.2, 0.8, (batch, n, 3)).astype(np.float32)).to(device),
        weight=torch.ones(batch, device=device),
        taught=torch.ones(batch, n, dtype=torch.bool, device=device),
        weight_sum=torch.tensor(float(batch), device=device),
        rows=Rows(batch, 0, batch),
        seed=0,
    )
    mixed = resolved(config.precision, device) == "bf16-mixed"
    durations = []
    for _ in range(steps):
        started = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            total = learner.losses(network, part, config.stages[-1]).loss
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        float(total.detach())
        durations.append(time.perf_counter() - started)
    step_mb = _peak_mb(device) - before_mb
    network.eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        times = []
        for _ in range(10):
            started = time.perf_counter()
            network(part.crops[:1])
            times.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    compact = sum(math.prod(shape) for shape in config.model.volume_shapes)
    heatmaps = sum(height * width for _, height, width in config.model.volume_shapes)
    voxels = {"b": n * heatmaps, "c": 0, "d": n * compact}.get(name, compact)
    cost = Cost(
        parameters=sum(p.numel() for p in network.parameters()),
        step_mb=step_mb,
        volume_mb=4 * batch * voxels / 1e6,
        images_per_s=batch / min(durations),
        face_ms=1000 * float(np.median(times)),
    )
    print(json.dumps(asdict(cost)))


def _start_counting(device: torch.device) -> float:
    """Reset the peak if the system supports it; returns the memory in use now, MB."""
    if device.type != "cuda" and Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_mb(device)


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def curves_of(out: Path, names: list[str]) -> str:
    """Markdown table of the validations of some variants during training: mean of bins, percent, by crops seen."""
    curves: dict[str, dict[int, float]] = {}
    for name in names:
        with (out / name / "log.csv").open(newline="", encoding="utf-8") as file:
            curves[name] = {int(row["samples"]): float(row["nme"]) for row in csv.DictReader(file)}
    lines = [f"| crops seen | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for samples in sorted(set().union(*curves.values())):
        cells = (f"{100 * curve[samples]:.2f}" if samples in curve else "–" for curve in curves.values())
        lines.append(f"| {samples:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of(outcomes: list[tuple[Outcome, Cost]]) -> str:
    """Markdown table with one row per variant. Errors in percent, ± half the width of the 95 % bootstrap interval."""
    lines = [
        "| | variant | NME [0,30] / (30,60] / over 60 | mean of bins | median | GTE | parameters, M | "
        "memory of a step, MB | memory of its volumes, MB | images/s | one face, ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for outcome, cost in outcomes:
        bins = " / ".join("–" if math.isnan(value) else f"{100 * value:.2f}" for value in outcome.nme_bins)
        errors = (
            bins,
            f"{100 * outcome.nme:.2f} ± {100 * outcome.nme_half_width:.2f}",
            f"{100 * outcome.nme_median:.2f}",
            f"{100 * outcome.gte:.2f}",
        )
        costs = (
            f"{cost.parameters / 1e6:.2f}",
            f"{cost.step_mb:.0f}",
            f"{cost.volume_mb:.1f}",
            f"{cost.images_per_s:.0f}",
            f"{cost.face_ms:.1f}",
        )
        lines.append(f"| {' | '.join((outcome.variant, VARIANTS[outcome.variant].title, *errors, *costs))} |")
    return "\n".join(lines)
