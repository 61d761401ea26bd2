"""Kinds of damage that fuzzing found unhandled. Each is tested in every reader that shares the mended code."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzz_mutate import tar_resealed

from jvcr.data.reading import read_arrays, read_json
from jvcr.data.table import Table
from jvcr.data.tars import find_members
from jvcr.evaluate.predictions import read_predictions
from jvcr.io.boxes import GivenBoxes
from jvcr.io.lines import read_earlier
from jvcr.markups.file import read_markup

DEEP, LONG = "[" * 50_000, "9" * 5000
"""Nested too deeply for a parser; more digits than Python converts to a number."""

POINTS = np.linspace(1, 9, 2 * 68 * 3, dtype=np.float32).reshape(2, 68, 3)
ARRAYS = {
    "id": np.array(["a", "b"]),
    "split": np.array(["train", "train"]),
    "source": np.array(["s", "s"]),
    "weight": np.ones(2),
    "points": POINTS,
    "landmarks": POINTS,
}
READERS: dict[str, Callable[[Path], object]] = {
    "labels": lambda path: Table(path.parent, "train"),
    "predictions": read_predictions,
    "arrays": lambda path: read_arrays(path, ("id",)),
}


def members(**changed: bytes) -> bytes:
    """An ``.npz`` file; these entries hold other bytes, and their checksums are right."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in ARRAYS.items():
            entry = io.BytesIO()
            np.save(entry, value)
            archive.writestr(f"{name}.npy", changed.get(name, entry.getvalue()))
    return file.getvalue()


def header(text: str) -> bytes:
    """The beginning of an array's entry, whose header is this text."""
    data = text.encode()
    return b"\x93NUMPY\x01\0" + len(data).to_bytes(2, "little") + data


def no_such_character() -> bytes:
    entry = io.BytesIO()
    np.save(entry, ARRAYS["id"])
    return entry.getvalue()[:-4] + (0x7FFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (b"no array at all", "member id is not an array"),
        (no_such_character(), "array id has characters that are not Unicode"),
        (header("{'descr': '<f8', 'fortran_order"), "cannot be read as an .npz file of plain arrays"),
        (header("{" * 3000), "cannot be read as an .npz file of plain arrays"),
        (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (9" + "0" * 15 + ",)}"),
            "cannot be read as an .npz",
        ),
    ],
    ids=["no header", "no Unicode", "header cut off", "header nested", "enormous shape"],
)
def test_damaged_arrays_are_named(reader: str, entry: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    path.write_bytes(members(id=entry))
    with warnings.catch_warnings(action="ignore"), pytest.raises(ValueError) as refusal:
        READERS[reader](path)
    assert str(path) in str(refusal.value) and reason in str(refusal.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_zip_file_with_a_wrong_offset_is_named(reader: str, tmp_path: Path) -> None:
    path, good = tmp_path / "labels.npz", members()
    first = good.index(b"PK\1\2")
    path.write_bytes(good[: first + 42] + b"\xff" * 3 + b"\x7f" + good[first + 46 :])
    with pytest.raises(ValueError) as refusal:
        READERS[reader](path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("size", [-512, -(2**40), 2**62, 2**63 - 600, 2**64])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, b"Z"])
def test_a_tar_file_with_a_wrong_size_is_named(size: int, kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.webp"))
        archive.addfile(tarfile.TarInfo("b.webp"))
    data = bytearray(path.read_bytes())
    # A number in binary, as GNU tar writes large ones.
    data[124:136] = (size % 256**12).to_bytes(12, "big")
    data[124] = 0xFF if size < 0 else 0x80
    data[156:157] = kind
    path.write_bytes(tar_resealed(bytes(data), bytes(data)))
    with pytest.raises((ValueError, FileNotFoundError)) as refusal:
        find_members(tmp_path, ["a", "b"])
    assert str(tmp_path) in str(refusal.value)


def markup_of_text(path: Path, value: str) -> None:
    path.write_text(f'name = "x"\nn_points = 3\nmirror = []\nnormaliser = [0, 1]\nedges = {value}\n')
    read_markup(path)


def line_of_text(path: Path, value: str, read: Callable[[Path], object]) -> None:
    path.write_text(f'{{"image": "a", "id": "a", "landmarks": {value}, "source": {value}}}\n')
    read(path)


def settings_of_text(path: Path, value: str) -> None:
    pytest.importorskip("torch")
    from jvcr.train.recipes import RECIPES
    from jvcr.train.settings import settings_of

    path.write_text(f"seed = {value}\n")
    settings_of(RECIPES, path)


def boxes_of_text(path: Path, value: str) -> None:
    path.write_text(f'{{"a.jpg": {value}}}')
    GivenBoxes.read(path)


def json_of_text(path: Path, value: str) -> None:
    path.write_text(value)
    read_json(path)


@pytest.mark.parametrize("value", [DEEP, LONG], ids=["deep", "long"])
@pytest.mark.parametrize(
    ("ending", "read"),
    [
        ("toml", markup_of_text),
        ("toml", settings_of_text),
        ("json", boxes_of_text),
        ("json", json_of_text),
        ("jsonl", lambda path, value: line_of_text(path, value, read_predictions)),
        ("jsonl", lambda path, value: line_of_text(path, value, lambda p: read_earlier(p, lambda *_: True))),
    ],
    ids=["markup", "settings", "boxes", "JSON", "predictions", "records"],
)
def test_deep_and_long_values_are_refused_by_name(
    ending: str, read: Callable[[Path, str], object], value: str, tmp_path: Path
) -> None:
    path = tmp_path / f"file.{ending}"
    with pytest.raises(ValueError) as refusal:
        read(path, value)
    assert str(path) in str(refusal.value)


def test_numbers_too_large_for_floats_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"id": "a", "landmarks": [[10**400, 1]] * 68}))
    with pytest.raises(ValueError, match=r"p\.jsonl: line 1: "):
        read_predictions(path)


@pytest.mark.parametrize("name", [LONG, "²"])
def test_digits_that_are_no_number_of_a_landmark(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(f'name = "x"\nn_points = 3\nmirror = []\nnormaliser = [0, 1]\nedges = [[0, "{name}"]]\n')
    with pytest.raises(ValueError, match=r"m\.toml: edges"):
        read_markup(path)


@pytest.mark.parametrize("weight", ["9" * 400, "-" + "9" * 400, "nan", "inf"])
def test_a_weight_that_is_no_float(weight: str, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        'name = "x"\nn_points = 2\nmirror = []\nnormaliser = [0, 1]\n'
        f"[from.ibug-68]\n0 = {{30 = {weight}, 31 = 0.5}}\n1 = 2\n"
    )
    with pytest.raises(ValueError, match=r"m\.toml: from\.ibug-68"):
        read_markup(path)


def test_a_length_beyond_all_indices_in_a_weights_file(tmp_path: Path) -> None:
    from jvcr.runtime.onnx import OnnxRuntime

    path = tmp_path / "w.onnx"
    path.write_bytes(b"\xff" * 8 + b"{" + bytes(40))
    with pytest.raises(ValueError, match=r"w\.onnx: ONNX Runtime cannot load it"):
        OnnxRuntime(path, threads=1)


@pytest.mark.parametrize(("end", "place"), [("cells", 1), ("photos", 3)])
def test_a_detector_with_other_inputs_or_outputs_is_refused_when_it_is_loaded(
    end: str, place: int, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    from fuzz_targets import detectors

    from jvcr.detect.network import NetworkDetector

    model = onnx.ModelProto.FromString(detectors().seeds[0])
    (changed,) = [one for one in (*model.graph.input, *model.graph.output) if one.name == end]
    # Still a network that runs: its extent there is now open, or has another name.
    changed.type.tensor_type.shape.dim[place].dim_param = "other"
    changed.name = changed.name if end == "photos" else "heat"
    if end == "cells":
        model.graph.node[-1].output[0] = "heat"
    path = tmp_path / "d.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"d\.onnx: the network has"):
        NetworkDetector(path, threads=1)
