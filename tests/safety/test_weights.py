"""Weights from anywhere: whatever is wrong with a file, one ValueError names file and field; damage is seen."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jvcr.detect.network import NetworkDetector
from jvcr.markups.markup import MARKUP_68
from jvcr.runtime import base, checksum
from jvcr.runtime.base import bounded_threads
from jvcr.runtime.onnx import OnnxRuntime

pytest.importorskip("torch")
onnx: Any = pytest.importorskip("onnx")

from jvcr.export.onnx import save_sealed  # noqa: E402
from jvcr.model.checkpoint import Header, load_weights, save_weights  # noqa: E402
from jvcr.model.config import PRESETS  # noqa: E402
from jvcr.model.detector_file import load_detector  # noqa: E402
from jvcr.model.jvcr import JVCR  # noqa: E402

HEADER = json.loads(Header(PRESETS["tiny"], MARKUP_68, {"licence": "none"}).to_json())
UNSEALED = {key: value for key, value in HEADER.items() if key not in checksum.MARK}
"""As version 0.1 wrote it."""


def small_network(header: str | None, points: int = 68, volume: str = "volume") -> Any:
    """An ONNX network with the ends of ours: the crops' mean, plus random numbers."""
    rng = np.random.default_rng(0)
    make = onnx.helper.make_node
    known = {
        "v": rng.random((1, 16, 16, 16), np.float32),
        "p": rng.random((1, points, 3), np.float32),
        "axes": np.array([1, 2, 3]),
        "flat": np.array([-1, 1, 1]),
    }
    graph = onnx.helper.make_graph(
        [
            make("Cast", ["crops"], ["wide"], to=onnx.TensorProto.FLOAT),
            make("ReduceMean", ["wide", "axes"], ["mean"], keepdims=1),
            make("Add", ["mean", "v"], [volume]),
            make("Reshape", ["mean", "flat"], ["row"]),
            make("Add", ["row", "p"], ["points_unit"]),
        ],
        "small",
        [onnx.helper.make_tensor_value_info("crops", onnx.TensorProto.UINT8, ["batch", 64, 64, 3])],
        [
            onnx.helper.make_tensor_value_info(volume, onnx.TensorProto.FLOAT, ["batch", 16, 16, 16]),
            onnx.helper.make_tensor_value_info("points_unit", onnx.TensorProto.FLOAT, ["batch", points, 3]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in known.items()],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    if header is not None:
        onnx.helper.set_model_props(proto, {"jvcr": header})
    return proto


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``w.onnx``, ``w.safetensors``, ``w.pt``, and where OpenVINO is, ``w.xml`` and ``w.bin``."""
    from jvcr.export.formats import Precision, _write_openvino, _write_torchscript

    folder = tmp_path_factory.mktemp("weights")
    model, header = JVCR(PRESETS["tiny"]), Header(PRESETS["tiny"], MARKUP_68, {"licence": "none"})
    save_weights(folder / "w.safetensors", model, header)
    save_sealed(small_network(json.dumps(HEADER)), folder / "w.onnx")
    _write_torchscript(model, header, folder / "w.pt", Precision.FP32)
    try:
        import openvino  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        _write_openvino(folder / "w.onnx", folder / "w.xml", half=False)
    return folder


def load_torchscript(path: Path) -> object:
    from jvcr.runtime.torch_backend import ScriptRuntime

    return ScriptRuntime(path)


def load_openvino(path: Path) -> object:
    pytest.importorskip("openvino")
    from jvcr.runtime.openvino import OpenVinoRuntime

    return OpenVinoRuntime(path, threads=1)


LOADERS: dict[str, Callable[[Path], object]] = {
    "w.onnx": lambda path: OnnxRuntime(path, threads=1),
    "w.safetensors": load_weights,
    "w.pt": load_torchscript,
    "w.xml": load_openvino,
}


def copied(originals: Path, folder: Path) -> None:
    for path in originals.iterdir():
        shutil.copy(path, folder)


@pytest.mark.parametrize("name", LOADERS)
def test_intact_files_load(originals: Path, name: str) -> None:
    LOADERS[name](originals / name)


@pytest.mark.parametrize("name", ["w.onnx", "w.safetensors", "w.pt", "w.xml", "w.bin"])
def test_flipped_bits_are_seen(originals: Path, tmp_path: Path, name: str) -> None:
    """Sixty files with one bit turned each; none of them loads."""
    loaded = "w.xml" if name == "w.bin" else name
    if loaded == "w.xml":
        pytest.importorskip("openvino")
    copied(originals, tmp_path)
    data = (originals / name).read_bytes()
    rng = np.random.default_rng(7)
    missed = []
    for place, bit in zip(rng.integers(0, len(data), 60).tolist(), rng.integers(0, 8, 60).tolist(), strict=True):
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        (tmp_path / name).write_bytes(flipped)
        try:
            LOADERS[loaded](tmp_path / loaded)
        except ValueError as error:
            assert str(tmp_path / loaded) in str(error)
        else:
            missed.append(place)
    assert not missed


def test_the_message_says_what_to_do(originals: Path, tmp_path: Path) -> None:
    copied(originals, tmp_path)
    path = tmp_path / "w.onnx"
    data = path.read_bytes()
    weight = onnx.numpy_helper.to_array(onnx.load(path).graph.initializer[0]).tobytes()
    middle = data.index(weight) + len(weight) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 8]) + data[middle + 1 :])
    with pytest.raises(ValueError, match=r"w\.onnx: damaged, or .*: its checksum.*'jvcr-crc32' says.*export it again"):
        OnnxRuntime(path)


def test_files_without_a_checksum_still_load(tmp_path: Path) -> None:
    onnx.save(small_network(json.dumps(UNSEALED)), tmp_path / "old.onnx")
    assert checksum.verify(tmp_path / "old.onnx") is False
    prediction = OnnxRuntime(tmp_path / "old.onnx")(np.zeros((2, 64, 64, 3), np.uint8))
    assert prediction.points_unit.shape == (2, 68, 3)


@pytest.mark.parametrize("name", ["w.onnx", "w.safetensors", "w.pt", "w.xml"])
def test_a_flipped_bit_does_not_hide_the_checksum(originals: Path, tmp_path: Path, name: str) -> None:
    """In the name of its entry: the file would look as one without a checksum."""
    copied(originals, tmp_path)
    data = (tmp_path / name).read_bytes()
    place = (data.find if name == "w.safetensors" else data.rfind)(checksum.KEY.encode())
    (tmp_path / name).write_bytes(data[:place] + b"k" + data[place + 1 :])
    with pytest.raises(ValueError, match=rf"{name}: damaged: metadata field 'jvcr-crc32' is missing"):
        LOADERS[name](tmp_path / name)


def changed(*keys: str | int, to: Any) -> dict[str, Any]:
    """The header with one value in another's place; ``...`` takes it out."""
    values = copy.deepcopy(UNSEALED)
    place: Any = values
    for key in keys[:-1]:
        place = place[key]
    if to is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    return values


WRONG: list[tuple[Any, str]] = [
    ([], "jvcr"),
    (3, "jvcr"),
    (changed("config", to=...), "config"),
    (changed("config", to=[1]), "config"),
    (changed("config", "image_size", to=...), "config.image_size"),
    (changed("config", "image_size", to="64"), "config.image_size"),
    (changed("config", "image_size", to=10**400), "config.image_size"),
    (changed("config", "image_size", to=True), "config.image_size"),
    (changed("config", "crop", to=7), "config.crop"),
    (changed("config", "crop", "factor", to=float("nan")), "config.crop.factor"),
    (changed("config", "crop", "factor", to=-1), "config.crop"),
    (changed("config", "crop", "colour", to=1), "config.crop.colour"),
    (changed("config", "n_points", to=66), "config.n_points"),
    (changed("markup", to=...), "markup"),
    (changed("markup", "n_points", to=0), "markup.n_points"),
    (changed("markup", "mirror", to=None), "markup.mirror"),
    (changed("markup", "mirror", 0, to="1"), "markup.mirror"),
    (changed("markup", "mirror", 0, to=99), "markup"),
    (changed("markup", "groups", to=[1]), "markup.groups"),
    (changed("markup", "groups", "jaw", to=[1000]), "markup"),
    (changed("markup", "closed", to=5), "markup.closed"),
    (changed("markup", "normaliser", to=[1]), "markup.normaliser"),
    (changed("markup", "normaliser", to=...), "markup.normaliser"),
    (changed("markup", "lines", to=[[1, 2, 3]]), "markup.lines"),
    (changed("markup", "gaps", to=[5]), "markup.gaps"),
    (changed("markup", "derivations", to={"x": [[]]}), "markup"),
    (changed("markup", "derivations", to={"x": [[[0, "1"]]]}), "markup.derivations"),
]

WRONG_CONFIG: list[tuple[Any, str]] = [
    (changed("config", "depths", to=[]), "config"),
    (changed("config", "depths", to=[2, "16"]), "config.depths"),
    (changed("config", "depths", to=3), "config.depths"),
    (changed("config", "stem_channels", to=[8]), "config.stem_channels"),
    (changed("config", "stem", to=4), "config.stem"),
    (changed("config", "hourglass_depth", to=-2000), "config.hourglass_depth"),
    (changed("config", "hourglass_depth", to=10**12), "config.hourglass_depth"),
    (changed("config", "channels", to=...), "config.channels"),
    (changed("config", "colour", to=1), "config.colour"),
    (changed("config", "regressor_channels", to=[]), "config"),
    (changed("about", to=[]), "about"),
]


@pytest.mark.parametrize(("header", "field"), WRONG)
def test_wrong_metadata_are_named_in_onnx(tmp_path: Path, header: Any, field: str) -> None:
    onnx.save(small_network(json.dumps(header)), tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match=rf"foreign\.onnx: metadata field '{field}'"):
        OnnxRuntime(tmp_path / "foreign.onnx", threads=1)


@pytest.mark.parametrize(("header", "field"), WRONG + WRONG_CONFIG)
def test_wrong_metadata_are_named_in_safetensors(tmp_path: Path, header: Any, field: str) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(2)}, path, metadata={"jvcr": json.dumps(header)})
    with pytest.raises(ValueError, match=rf"foreign\.safetensors: metadata field '{field}'"):
        load_weights(path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nonsense", '{"config": 1' + "0" * 5000 + "}"])
def test_metadata_that_are_no_json_are_named(tmp_path: Path, text: str) -> None:
    onnx.save(small_network(text), tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match=r"foreign\.onnx: (metadata field 'jvcr': not JSON|no 'jvcr' entry)"):
        OnnxRuntime(tmp_path / "foreign.onnx", threads=1)


def test_wrong_metadata_are_named_in_torchscript(tmp_path: Path) -> None:
    import torch

    from jvcr.runtime.torch_backend import SCRIPT_ENTRY

    script = torch.jit.trace(torch.nn.Identity(), torch.ones(1))  # type: ignore[no-untyped-call]
    text = json.dumps(changed("markup", "mirror", to=None))
    torch.jit.save(script, str(tmp_path / "foreign.pt"), _extra_files={SCRIPT_ENTRY: text})  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match=r"foreign\.pt: metadata field 'markup\.mirror'"):
        load_torchscript(tmp_path / "foreign.pt")


def test_wrong_metadata_are_named_in_openvino(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    onnx.save(small_network(json.dumps(changed("config", "image_size", to=None))), tmp_path / "w.onnx")
    openvino.save_model(openvino.Core().read_model(tmp_path / "w.onnx"), tmp_path / "foreign.xml")
    with pytest.raises(ValueError, match=r"foreign\.xml: metadata field 'config\.image_size'"):
        load_openvino(tmp_path / "foreign.xml")


def test_wrong_metadata_of_a_detector_are_named(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for number, config in enumerate(({}, {"channels": 3}, {"channels": []}, {"channels": [1] * 5000})):
        proto = small_network(None)
        onnx.helper.set_model_props(proto, {"jvcr-detector": json.dumps({"config": config})})
        onnx.save(proto, tmp_path / f"{number}.onnx")
        with pytest.raises(ValueError, match=rf"{number}\.onnx: metadata field 'config.channels'"):
            NetworkDetector(tmp_path / f"{number}.onnx", threads=1)
    metadata = {"jvcr-detector": json.dumps({"config": {"blocks": "two"}})}
    save_file({"weight": torch.ones(2)}, tmp_path / "d.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=r"d\.safetensors: metadata field 'config\.blocks'"):
        load_detector(tmp_path / "d.safetensors")


def test_a_network_that_is_not_as_described_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    text = json.dumps(UNSEALED)
    for name, proto in {"points": small_network(text, points=66), "volume": small_network(text, volume="v2")}.items():
        onnx.save(proto, tmp_path / f"{name}.onnx")
        with pytest.raises(ValueError, match=rf"{name}\.onnx: the network has"):
            OnnxRuntime(tmp_path / f"{name}.onnx", threads=1)


def test_sizes_that_would_take_all_memory_are_refused_without_it(originals: Path, tmp_path: Path) -> None:
    """16,384 channels are some 40 GB; the file has 300 kB."""
    header = Header.from_json(json.dumps(changed("config", "channels", to=16_384)))
    save_weights(tmp_path / "large.safetensors", load_weights(originals / "w.safetensors")[0], header)
    with pytest.raises(ValueError, match=r"large\.safetensors: its tensors do not fit"):
        load_weights(tmp_path / "large.safetensors")


# Threads.


def test_threads_are_bound_by_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert [bounded_threads(n) for n in (0, 1, 3, 4, 5000, 10**400)] == [0, 1, 3, 3, 3, 3]
    with pytest.raises(ValueError, match="threads is -1"):
        bounded_threads(-1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="threads are counted in Linux's /proc")
def test_five_thousand_threads_are_not_started() -> None:
    code = (
        "import re, numpy as np\n"
        "from jvcr import Landmarker\n"
        "Landmarker(threads=5000).predict(np.zeros((64, 64, 3), np.uint8))\n"
        "print(re.search(r'Threads:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Two networks, and what NumPy and OpenCV start.
    assert int(done.stdout) <= 6 * (os.cpu_count() or 1) + 10


def test_a_header_length_beyond_all_files(tmp_path: Path) -> None:
    # Its first eight bytes are the length of the header.
    path = tmp_path / "long.safetensors"
    path.write_bytes(b"\xff" * 8 + b'{"jvcr-crc32":"00000000"}')
    with pytest.raises(ValueError, match=r"long\.safetensors: damaged, or changed by another program"):
        checksum.verify(path)
