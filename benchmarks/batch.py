"""Very many photos, killed again and again: photos per second, memory, what each kill costs, and that nothing is lost.

    python benchmarks/batch.py PHOTOS WORK --workers 2

PHOTOS is a folder with some photos (or tars). They are scaled and turned until there are 100,000, which takes about
3 GB in WORK. For 1,000, 10,000 and 100,000 photos, the batch then runs with ``kill -9`` of its whole process group, or
of one of its workers, at random times. The results are verified, and compared byte for byte with a run in peace of the
same photos; that of 100,000 with the run in peace of the first 10,000.

Each figure is a JSON line on the output and in WORK/figures.jsonl. After an interruption, the same command goes on:
what has a figure is not measured again. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import PIL.Image
from batch_proof.journal import Journal, figures, follow
from batch_proof.photos import make_photos, photo_path, write_list
from batch_proof.watched import Kills, run_watched

import jvcr

_PARTS = ("faces", "photos", "done", "plan")


class Figures:
    """The JSON lines of all stages. A stage that has its line is not run again.

    Args:
        settings: written first; figures of other settings are refused.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self._lines = {line["stage"]: line for line in lines}
        if self.stage("settings", lambda: settings) != {"stage": "settings", **settings}:
            raise SystemExit(f"{path}: figures of other settings are here ({lines[0]}); choose another WORK")

    def stage(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The line of a stage, measured if there is none."""
        if name not in self._lines:
            self._lines[name] = {"stage": name, **measure()}
            with self._path.open("a") as file:
                file.write(json.dumps(self._lines[name]) + "\n")
            print(json.dumps(self._lines[name]), flush=True)
        return self._lines[name]


def photos_made(options: argparse.Namespace) -> dict[str, Any]:
    """Make the photos; what they are like."""
    started, count = time.monotonic(), max(options.sizes)
    make_photos(options.source, options.work, count, options.seed)
    paths = [photo_path(options.work, number) for number in range(count)]
    some = [PIL.Image.open(path).size for path in paths[:: max(1, count // 1000)]]
    return {
        "photos": count,
        "megapixels, mean": round(sum(width * height for width, height in some) / len(some) / 1e6, 3),
        "kB, mean": round(sum(path.stat().st_size for path in paths) / count / 1e3, 1),
        "seconds": round(time.monotonic() - started, 1),
    }


def arguments(options: argparse.Namespace, count: int, out: Path) -> list[str]:
    """Of ``jvcr batch run``."""
    source = write_list(options.work, count)
    return [str(source), str(out), f"--shard={options.shard}", f"--workers={options.workers}", *options.arguments]


def run_in_peace(options: argparse.Namespace, count: int) -> dict[str, Any]:
    """A run that nobody disturbs. One that was interrupted starts again."""
    out, path = place(options, "peace", count), options.work / f"peace-{count}.jsonl"
    shutil.rmtree(out, ignore_errors=True)
    path.unlink(missing_ok=True)
    journal = Journal(path)
    run_watched(arguments(options, count, out), journal, None, lambda what, number: None)
    marks = [json.loads(mark.read_text()) for mark in (out / "done").iterdir()]
    size = sum(path.stat().st_size for part in ("faces", "photos") for path in (out / part).iterdir())
    return {
        "photos": count,
        **figures(follow(journal.events()), count),
        "faces": sum(mark["faces"] for mark in marks),
        "errors": sum(mark["errors"] for mark in marks),
        "bytes per photo in faces/ and photos/": round(size / count),
        **verified(out),
    }


def run_with_kills(options: argparse.Namespace, count: int, expected_s: float, compared: int) -> dict[str, Any]:
    """A run with kills. One that was interrupted goes on, with the kills that are left.

    Args:
        expected_s: how long it may take without kills. compared: photos of the run in peace to compare with.
    """
    out, journal = place(options, "killed", count), Journal(options.work / f"killed-{count}.jsonl")
    expected = options.kills[min(options.sizes.index(count), len(options.kills) - 1)]
    kills = Kills(expected_s / (expected + 1), 3 * expected, f"{options.seed}/{count}")

    def say(what: str, number: int) -> None:
        print(json.dumps({"stage": f"killed-{count}", "kill": number, "what": what}), flush=True)

    run_watched(arguments(options, count, out), journal, kills, say)
    account = follow(journal.events())
    # The last shard may hold fewer photos than the one of the same number in a larger run.
    shards = compared // options.shard if compared < count else -(-count // options.shard)
    costs = [{name: value for name, value in asdict(kill).items() if name != "time"} for kill in account.kills]
    return {
        "photos": count,
        **figures(account, count),
        "kills of the run": sum(kill.what == "run" for kill in account.kills),
        "kills of a worker": sum(kill.what == "worker" for kill in account.kills),
        "photos computed twice": account.reported - count,
        "photos computed twice per kill, mean": round(
            sum(kill.twice for kill in account.kills) / max(1, len(account.kills)), 1
        ),
        "shards set aside, and tried again": account.aside,
        "each kill": costs,
        **verified(out),
        **comparison(place(options, "peace", compared), out, shards),
    }


def verified(out: Path) -> dict[str, Any]:
    """``jvcr batch verify``.

    Raises:
        SystemExit: it finds a fault.
    """
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "jvcr.cli.app", "batch", "verify", str(out)], check=True, stdout=sys.stderr)
    return {"verified": True, "seconds of verifying": round(time.monotonic() - started, 1)}


def comparison(peace: Path, killed: Path, shards: int) -> dict[str, Any]:
    """Compare the first shards, byte for byte.

    Raises:
        SystemExit: they differ.
    """
    files = [path for part in _PARTS for path in sorted((peace / part).iterdir())[:shards]]
    different = [path for path in files if path.read_bytes() != (killed / path.relative_to(peace)).read_bytes()]
    if different or not files:
        raise SystemExit(f"{killed}: differs from {peace}: {[str(path.relative_to(peace)) for path in different]}")
    return {"shards with the same bytes as in peace": shards, "files compared": len(files)}


def place(options: argparse.Namespace, kind: str, count: int) -> Path:
    """Results of a run."""
    return options.work / f"{kind}-{count}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="PHOTOS")
    parser.add_argument("work", metavar="WORK", type=Path)
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per core")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000], help="photos of each run")
    parser.add_argument("--kills", type=int, nargs="+", default=[6, 12, 24], help="expected kills at each size")
    parser.add_argument("--peace", type=int, default=10_000, help="the largest size that also runs in peace")
    parser.add_argument("--shard", type=int, default=50, help="photos per shard")
    parser.add_argument("--seed", type=int, default=0, help="of the photos and the kills")
    options, options.arguments = parser.parse_known_args()
    options.sizes.sort()
    if options.sizes[0] < options.shard or options.sizes[0] > options.peace:
        parser.error("the smallest of --sizes must hold a shard (--shard), and run in peace (--peace)")
    options.work = options.work.absolute()
    options.work.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(options, name) for name in ("workers", "sizes", "kills", "peace", "shard", "seed")}
    lines = Figures(options.work / "figures.jsonl", settings | {"arguments": options.arguments})
    lines.stage("machine", lambda: {"jvcr": jvcr.__version__, "cores": os.cpu_count(), "cpu": cpu_name()})
    lines.stage("photos", lambda: photos_made(options))
    growth = {}
    for count in options.sizes:
        if count <= options.peace:
            peace = lines.stage(f"peace-{count}", lambda: run_in_peace(options, count))  # noqa: B023 - called at once
        expected_s = count * peace["seconds"] / peace["photos"]
        growth[count] = lines.stage(
            f"killed-{count}",
            lambda: run_with_kills(options, count, expected_s, peace["photos"]),  # noqa: B023 - called at once
        )
    kept = ("photos/s", "photos/s, starts left out", "memory of all processes together, peak RSS, MB")
    lines.stage("growth", lambda: {name: {count: line[name] for count, line in growth.items()} for name in kept})


def cpu_name() -> str:
    """Of the processor (Linux)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
