"""Small films, and the command line on a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LIMITED = """
import resource, runpy, signal, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
sys.argv = ["jvcr", *sys.argv[2:]]
runpy.run_module("jvcr.cli.app", run_name="__main__")
"""
"""The command line on a disk on which no file can be larger than so many bytes: writing fails half-way, as on a full
one (EFBIG in place of ENOSPC)."""


@pytest.fixture
def jvcr(
    tmp_path: Path, run_jvcr: Callable[..., subprocess.CompletedProcess[str]]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in ``tmp_path``; ``largest`` bounds the bytes of a file, in a process of its own."""

    def run(*arguments: object, largest: int | None = None) -> subprocess.CompletedProcess[str]:
        if largest is None:
            return run_jvcr(*arguments, cwd=tmp_path)
        command = [sys.executable, "-c", LIMITED, str(largest), *map(str, arguments)]
        environment = os.environ | {"COLUMNS": "200"}
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False, env=environment
        )

    return run


@pytest.fixture
def write_film() -> Callable[..., Path]:
    """Write a video of noise, 128 × 96 pixels at 30 frames a second, with nothing of ours."""

    def write(path: Path, frames: int = 100, options: dict[str, str] | None = None, noise: int = 60) -> Path:
        av: Any = pytest.importorskip("av")
        base = np.random.default_rng(0).integers(0, noise, (96, 128, 3), dtype=np.uint8)
        with av.open(f"file:{path}", "w", container_options=options or {}) as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.roll(base, number, 1), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write
