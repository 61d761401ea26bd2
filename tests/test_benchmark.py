"""``jvcr bench``: real rows, as JSON and Markdown."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr import Box
from jvcr.bench import run as benchmark
from jvcr.bench.run import Timing, Work, measure, to_markdown
from jvcr.cli.app import app

BOX = Box(179, 87, 269, 178)


@pytest.mark.parametrize(
    ("kind", "settings", "units"),
    [
        ("network", {"backend": "onnxruntime", "precision": "fp32", "threads": 1, "batch": 3}, 3),
        ("box", {"threads": 1, "looks": 1}, 1),
        ("boxes", {"threads": 1, "faces": 5}, 5),
        ("search", {"threads": 1, "size": 320}, 1),
        ("decode", {"threads": 1}, 1),
        ("crop", {"threads": 1}, 1),
        ("field", {"threads": 1, "field": "visibility and sigma_px"}, 1),
        ("field", {"threads": 1, "field": "in_camera"}, 1),
        ("photo", {"threads": 1, "looks": 1}, 1),
        pytest.param("video", {"threads": 1, "faces": 1}, 60, marks=pytest.mark.slow),
    ],
)
def test_rows_are_measured(kind: str, settings: dict[str, int | str], units: int) -> None:
    row = measure(Work(kind, astronaut(), BOX, "small", settings, 0.01))
    assert 0 < row.ms["p10"] <= row.ms["p50"] <= row.ms["p90"] <= row.ms["p99"]
    assert row.units == units
    assert row.per_second == pytest.approx(1000 * units / row.ms["p50"])
    assert row.memory_mb is None or row.memory_mb > 50


def test_fields_are_computed_anew_in_each_call() -> None:
    """The second reading of a pose costs nothing, so it must not be what is timed."""
    row = measure(Work("field", astronaut(), BOX, "small", {"threads": 1, "field": "pose"}, 0.05))
    assert row.ms["p10"] > 0.02


@pytest.mark.slow
def test_a_film_is_decoded() -> None:
    pytest.importorskip("av")
    row = measure(Work("film", astronaut(), BOX, "small", {"threads": 2, "faces": 1}, 0.01))
    assert row.units == 60 and "decoding" in row.remark


def test_a_precision_says_how_far_it_is_from_the_default() -> None:
    openvino = pytest.importorskip("openvino")
    settings = {"backend": "openvino", "precision": "bf16", "threads": 1, "batch": 1}
    row = measure(Work("network", astronaut(), BOX, "small", settings, 0.01))
    # On a CPU without bf16, OpenVINO computes in 32 bits instead.
    rounded = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert (float(row.remark.split()[0]) > 0) == rounded
    assert float(row.remark.split()[0]) < 0.3


def test_the_command_prints_and_writes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_one = [Work("box", astronaut(), BOX, "small", {"threads": 1, "looks": 1}, 0.01)]
    broken = [Work("network", astronaut(), BOX, "small", {"backend": "none", "precision": "", "batch": 1}, 0.01)]
    monkeypatch.setattr(benchmark, "_all_work", lambda *_: iter(only_one + broken))
    done = CliRunner().invoke(app, ["bench", "--quick", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "| one face in a given box, single pass, 1 thread |" in done.output
    assert "left out: network, none" in done.output
    stored = json.loads((tmp_path / "bench.json").read_text())
    assert [row["what"] for row in stored["rows"]] == [
        "one face in a given box, single pass, 1 thread",
        "`import jvcr`, without the start of Python",
        "start of Python, import, landmarks of the first face",
    ]
    assert stored["machine"]["packages"]["numpy"] == np.__version__
    assert (tmp_path / "bench.md").read_text() in done.output


def test_a_gpu_is_timed_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        work = partial(Work, photo=astronaut(), box=BOX)
        return [benchmark._name(work) for work in benchmark._all_work(work, 4) if work.kind == "network"]

    monkeypatch.setattr(benchmark, "_has_cuda", lambda: False)
    without = names()
    monkeypatch.setattr(benchmark, "_has_cuda", lambda: True)
    assert set(names()) - set(without) == {
        f"network, torch bf16, cuda{how}, batch {batch}" for how in ("", ", compiled") for batch in (1, 256)
    }


def test_a_photo_without_a_face_is_said(tmp_path: Path) -> None:
    from jvcr.images import write_image

    write_image(tmp_path / "empty.png", np.full((64, 64, 3), 90, np.uint8))
    done = CliRunner().invoke(app, ["bench", "--photo", str(tmp_path / "empty.png")])
    assert "0 faces were detected in the photo; expected exactly one" in str(done.exception)


def test_the_table_shows_what_was_measured() -> None:
    row = Timing("x", {}, 2, {"p10": 1.0, "p50": 2.0, "p90": 3.0, "p99": 4.0}, None)
    about = {"date": "d", "processor": "p", "cores": 2, "system": "s", "python": "3", "commit": "c", "packages": {}}
    assert "| x | 2 | 1 | 3 | 4 | 1000 | – |  |" in to_markdown([row], about)
