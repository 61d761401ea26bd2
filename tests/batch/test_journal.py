"""The benchmark's accounts of kills: photos that were computed twice, from a journal that can be followed by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import batch_proof.journal

    yield batch_proof.journal
    for name in ("batch_proof", "batch_proof.journal"):
        sys.modules.pop(name, None)


def photos(t: float, shard: int, count: int) -> list[dict[str, Any]]:
    return [{"t": t, "event": "photo", "shard": shard, "photos": 1}] * count


def test_what_kills_cost(journal: Any) -> None:
    """Three shards of five photos. The run is killed, then a worker, then the benchmark itself is interrupted."""
    account = journal.follow(
        [
            {"t": 0, "event": "start"},
            {"t": 1, "event": "memory", "all_mb": 500.0, "largest_mb": 300.0},
            *photos(2, 0, 5),
            {"t": 3, "event": "done", "shard": 0, "photos": 5},
            *photos(4, 1, 3),
            # All of shard 2 was computed, and its mark was written: it was not lost.
            *photos(4, 2, 5),
            {"t": 5, "event": "kill", "what": "run"},
            {"t": 6, "event": "start"},
            *photos(9, 1, 4),
            {"t": 10, "event": "kill", "what": "worker"},
            {"t": 10, "event": "death", "shard": 1, "photos": 0},
            *photos(12, 1, 2),
            {"t": 100, "event": "start"},
            *photos(103, 1, 5),
            {"t": 104, "event": "done", "shard": 1, "photos": 5},
            {"t": 104, "event": "end", "code": 0},
        ]
    )
    assert [(kill.what, kill.at, kill.twice, kill.until_next_s) for kill in account.kills] == [
        ("run", 13, 3, 4),
        ("worker", 9, 4, 2),
    ]
    assert account.reported == 15 + 3 + 4 + 2
    figures = journal.figures(account, 15)
    # 5 s, 6 s and 4 s. The time between the interruption and the next start is left out.
    assert figures["seconds"] == 15
    assert figures["photos/s"] == 1.0
    assert figures["seconds from a start to its first photo, mean"] == pytest.approx((2 + 3 + 3) / 3, abs=0.01)
    assert figures["memory of all processes together, peak RSS, MB"] == 500
    assert figures["finished shards that were computed again"] == 0


def test_lines_are_kept_for_the_next_run(journal: Any, tmp_path: Path) -> None:
    for shard in (0, 1):
        journal.Journal(tmp_path / "journal.jsonl").add("done", shard=shard, photos=5)
    assert [line["shard"] for line in journal.Journal(tmp_path / "journal.jsonl").events()] == [0, 1]
