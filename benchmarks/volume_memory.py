"""Measure the memory of the target volume and of a training step for several numbers of landmarks.

    python benchmarks/volume_memory.py [--preset small] [--batch 32] [--points 21 68 200]

Each figure is measured in a fresh process: the bytes of the tensor, PyTorch's peak allocation beyond what it held
before (from its profiler on the CPU, from its own counter on a GPU), and on the CPU also the growth of the process's
peak resident size. "One volume per landmark" rasterises every landmark into its own volume, as volumetric networks
before JVCR do. A training step is forward pass, backward pass and update of the whole network in 32 bits, target
volumes included. The network's weights and the optimiser's state exist before the step starts.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from jvcr.model.config import PRESETS
from jvcr.model.jvcr import JVCR
from jvcr.train.losses import LossConfig, coordinate_loss, voxel_loss
from jvcr.train.targets import rasterise


def peak_bytes(work: Callable[[], object], device: str) -> int:
    """Peak memory that PyTorch held during ``work``, minus what it held before."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda change: change[0]):
        held += change
        peak = max(peak, held)
    return peak


def resident_peak() -> int:
    """Peak resident size in bytes. Linux reports KiB, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def measure(what: str, preset: str, batch: int, n_points: int, device: str) -> dict[str, int]:
    torch.manual_seed(0)
    config = replace(PRESETS[preset], n_points=n_points)
    shape = config.compact_shape
    points = torch.rand(batch, n_points, 3, device=device)
    made: list[Tensor] = []
    work: Callable[[], object]
    if what == "compact":
        work = lambda: made.append(rasterise(points, shape))  # noqa: E731
        rasterise(points[:1, :2], (4, 4, 4))  # do not measure PyTorch's start-up
    elif what == "per landmark":
        single = points.reshape(batch * n_points, 1, 3)
        work = lambda: made.append(rasterise(single, shape))  # noqa: E731
        rasterise(single[:1], (4, 4, 4))
    else:
        model = JVCR(config).to(device)
        optimizer = torch.optim.AdamW(model.parameters())
        crops = torch.randint(
            0, 256, (batch, config.image_size, config.image_size, 3), dtype=torch.uint8, device=device
        )

        def work() -> None:
            true = [rasterise(points, shape) for shape in config.volume_shapes]
            output = model(crops)
            loss = voxel_loss(output.volumes, true, LossConfig())
            loss = loss + coordinate_loss(
                output.points_unit, points, torch.ones(batch, device=device), LossConfig(), shape[-1]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            made[:] = [true[-1]]

        work()  # creates the optimiser's state
        made.clear()
    before = resident_peak()
    if device == "cpu" and what != "step":
        # Measure without the profiler, which itself uses memory.
        work()
        resident = resident_peak() - before
        made.clear()
    else:
        resident = 0
    peak = peak_bytes(work, device)
    return {"tensor": made[0].nbytes, "peak": peak, "resident": resident}


def in_fresh_process(what: str, preset: str, batch: int, n_points: int, device: str) -> dict[str, int]:
    command = [sys.executable, __file__, "--measure", what, "--preset", preset, "--batch", str(batch)]
    command += ["--points", str(n_points), "--device", device]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small", choices=list(PRESETS))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--points", type=int, nargs="+", default=[21, 68, 200])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    preset, batch, device = arguments.preset, arguments.batch, arguments.device
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, preset, batch, arguments.points[0], device)))
        return
    config = PRESETS[preset]
    shape = " × ".join(map(str, config.compact_shape))
    machine = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    print(f"{time.strftime('%Y-%m-%d')}, {machine}, PyTorch {torch.__version__}: preset {preset}, batch {batch},")
    print(f"volumes {shape}; MB = 10⁶ bytes\n")
    columns = [
        "N",
        "compact volume",
        "peak while drawing it",
        "growth of the process",
        "one volume per landmark",
    ]
    print(f"| {' | '.join([*columns, 'peak of a training step'])} |\n|{'---|' * (len(columns) + 1)}")
    for n_points in arguments.points:
        compact, single, step = (
            in_fresh_process(what, preset, batch, n_points, device) for what in ("compact", "per landmark", "step")
        )
        values = (
            compact["tensor"],
            compact["peak"],
            compact["resident"],
            single["tensor"],
            step["peak"],
        )
        print(f"| {n_points} | " + " | ".join(f"{value / 1e6:.2f} MB" for value in values) + " |", flush=True)


if __name__ == "__main__":
    main()
