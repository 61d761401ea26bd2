"""Measure the speed of training: ``python benchmarks/training.py DATA [--preset small] [--workers 1] [--steps 20]``.

Prints images/s of the data loader alone, of the step alone (always with the same batch), and of both together, and the
time of each part of the step. If the loader is slower than the step, it is the bottleneck.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from jvcr.data.table import Table
from jvcr.markups.markup import Markup
from jvcr.train.config import TrainConfig
from jvcr.train.data.backgrounds import read_backgrounds
from jvcr.train.data.stream import Batch, batches
from jvcr.train.learner import JVCRLearner, Part
from jvcr.train.loop import ema_of
from jvcr.train.precision import resolved
from jvcr.train.recipes import RECIPES
from jvcr.train.vary import Rows, vary_pixels


class Stopwatch:
    """Sums up the time of named parts. Waits for the device at the end of each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds[name] += time.perf_counter() - started


class Stepper:
    """The end-to-end step of ``jvcr.train.loop``, timed in parts."""

    def __init__(self, config: TrainConfig, markup: Markup, device: torch.device) -> None:
        self.config, self.device = config, device
        self.stage = next(stage for stage in config.stages if stage.end_to_end)
        self.learner = JVCRLearner(config, replace(config.model, n_points=markup.n_points), markup)
        self.network = self.learner.network.to(device).train()
        self.ema = ema_of(self.network, config.ema_decay, device)
        if config.channels_last:
            self.network.voxel.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-4)
        self.forward = torch.compile(self.network) if config.compile else self.network
        self.number = 0

    def __call__(self, batch: Batch, watch: Stopwatch) -> None:
        rows = Rows(len(batch.crops), 0, len(batch.crops))
        with watch.part("copy to the device"):
            crops, points, weight, taught = (tensor.to(self.device, non_blocking=True) for tensor in batch)
        with watch.part("pixel augmentation"):
            varied = vary_pixels(crops, self.config.augmentation, rows, self.number)
        part = Part(varied, points, weight, taught, weight.sum(), rows, self.number)
        bf16 = resolved(self.config.precision, self.device) == "bf16-mixed"
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=bf16),
            watch.part("targets, forward, losses"),
        ):
            loss = self.learner.losses(self.forward, part, self.stage).loss  # type: ignore[arg-type]
        with watch.part("backward"):
            self.optimizer.zero_grad()
            loss.backward()
        with watch.part("optimiser"):
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
        with watch.part("EMA of weights"):
            self.ema.update_parameters(self.network)
        self.number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--preset", default="small", choices=list(RECIPES))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int)
    arguments = parser.parse_args()
    config = RECIPES[arguments.preset]
    config = replace(config, batch_size=arguments.batch_size or config.batch_size)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    table = Table(arguments.data, "train")
    backgrounds = read_backgrounds(arguments.data)

    def stream(workers: int) -> Iterator[Batch]:
        return batches(
            table,
            size_px=config.model.image_size,
            markup=table.markup,
            augmentation=config.augmentation,
            sampling=config.sampling,
            backgrounds=backgrounds,
            batch_size=config.batch_size,
            seed=0,
            workers=workers,
            rule=config.model.crop,
        )

    def rate(seconds: float) -> str:
        return f"{arguments.steps * config.batch_size / seconds:.0f} images/s"

    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.processor() or platform.machine()}"
    print(
        f"{arguments.preset}, batch size {config.batch_size}; {name}, {torch.get_num_threads()} threads, "
        f"{os.cpu_count()} cores; PyTorch {torch.__version__}"
    )
    loader = stream(arguments.workers)
    kept = next(loader)
    for _ in range(4 * max(1, arguments.workers)):  # skip batches that were prepared in advance
        next(loader)
    started = time.perf_counter()
    for _ in range(arguments.steps):
        next(loader)
    print(f"loader alone, {arguments.workers} workers: {rate(time.perf_counter() - started)}")

    stepper = Stepper(config, table.markup, device)
    for _ in range(3):
        stepper(kept, Stopwatch(device))
    watch = Stopwatch(device)
    started = time.perf_counter()
    for _ in range(arguments.steps):
        stepper(kept, watch)
    alone = time.perf_counter() - started
    print(f"step alone: {rate(alone)}")
    for part, seconds in watch.seconds.items():
        print(f"  {part:32} {1000 * seconds / arguments.steps:8.1f} ms  {100 * seconds / alone:5.1f} %")

    started, waiting = time.perf_counter(), 0.0
    for _ in range(arguments.steps):
        asked = time.perf_counter()
        batch = next(loader)
        waiting += time.perf_counter() - asked
        stepper(batch, watch)
    together = time.perf_counter() - started
    print(f"together: {rate(together)}, {100 * waiting / together:.1f} % of the time waiting for the loader")


if __name__ == "__main__":
    main()
