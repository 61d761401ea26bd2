"""What is fuzzed: for each kind of file good examples, how it is read, and the errors that its reader documents."""

from __future__ import annotations

import io
import itertools
import json
import random
import struct
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from fuzz_mutate import mutated

Read = Callable[[bytes, Path], object]
"""The input's bytes and a folder of its own → whatever comes out. It raises only what is documented."""


@dataclass(frozen=True)
class Target:
    """A reader of files.

    Attributes:
        seeds: good files.
        read: reads one; the folder may be written to.
        documented: the exceptions that its docstring names. Anything else is a fault.
        slowest_s: an input that takes longer is a fault.
        mutate: damages a seed; plain bytes by default.
    """

    name: str
    seeds: list[bytes]
    read: Read
    documented: tuple[type[Exception], ...] = (ValueError, OSError)
    slowest_s: float = 10.0
    mutate: Callable[[bytes, list[bytes], random.Random], bytes] = field(default=mutated)

    def inputs(self, seed: int, first: int = 0) -> Iterator[bytes]:
        """Damaged files without end, from number ``first`` on; a seed and a number always give the same one."""
        for number in itertools.count(first):
            rng = random.Random(f"{self.name} {seed} {number}")
            yield self.mutate(rng.choice(self.seeds), self.seeds, rng)


def images() -> Target:
    """Photos from anywhere: ``jvcr.images.decode_image``, with a small limit on pixels."""
    from jvcr.images import ImageError, decode_image

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    smooth = cv2.resize(small, (40, 30))
    seeds = []
    for pixels in (small, smooth, smooth[..., 0]):
        picture = PIL.Image.fromarray(pixels)
        for kind, settings in (
            ("JPEG", {"quality": 80}),
            ("JPEG", {"quality": 30, "progressive": True, "exif": _exif()}),
            ("PNG", {}),
            ("WEBP", {"quality": 60}),
            ("WEBP", {"lossless": True}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("BMP", {}),
            ("GIF", {}),
            ("PPM", {}),
        ):
            file = io.BytesIO()
            picture.save(file, kind, **settings)  # type: ignore[arg-type]
            seeds.append(file.getvalue())
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"):
        file = io.BytesIO()
        source = PIL.Image.fromarray(smooth).convert("L" if mode == "I;16" else mode)
        (source.convert("I").convert("I;16") if mode == "I;16" else source).save(file, "TIFF")
        seeds.append(file.getvalue())
    sixteen = cv2.imencode(".png", rng.integers(0, 65536, (9, 11), dtype=np.uint16))[1].tobytes()
    return Target(
        "images",
        [*seeds, sixteen],
        lambda data, _: decode_image(data, "fuzzed", max_pixels=1_000_000),
        (ImageError,),
    )


def _exif() -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def boxes() -> Target:
    """Box files in JSON and CSV: ``jvcr.io.boxes.GivenBoxes``."""
    from jvcr.io.boxes import GivenBoxes

    good = [
        b'{"a.jpg": [[1, 2, 30, 40], [5, 6, 70, 80.5]], "b/c.png": []}',
        b"a.jpg,1,2,30,40\nb.jpg,5.5,6,70,80\n",
    ]

    def read(data: bytes, folder: Path) -> object:
        path = folder / ("boxes.json" if data[:1] in b"{[" else "boxes.csv")
        path.write_bytes(data)
        return GivenBoxes.read(path)

    return Target("boxes", good, read, (ValueError,))


def records() -> Target:
    """Results that ``--resume`` goes on from: ``jvcr.io.lines.read_earlier``."""
    from jvcr.io.lines import read_earlier

    line = {
        "image": "a.jpg",
        "width": 4,
        "height": 3,
        "faces": [],
        "source": {"bytes": 5, "modified_ns": 6},
        "written": ["a.jpg"],
    }
    good = [b"\n".join(json.dumps({**line, "image": f"{k}.jpg"}).encode() for k in range(3)) + b"\n"]

    def read(data: bytes, folder: Path) -> object:
        path = folder / "landmarks.jsonl"
        path.write_bytes(data)
        return read_earlier(path, lambda name, record: True)

    return Target("records", good, read, (ValueError,))


def predictions() -> Target:
    """Predictions of other aligners: ``jvcr.evaluate.predictions.read_predictions``."""
    from jvcr.evaluate.predictions import read_predictions

    file = io.BytesIO()
    np.savez(file, id=np.array(["a", "b"]), landmarks=np.zeros((2, 68, 3)), box=np.zeros((2, 4)), about='{"tool": "t"}')
    lines = b'{"about": {"tool": "t"}}\n' + json.dumps({"id": "a", "landmarks": [[1.0, 2.0]] * 68}).encode() + b"\n"

    def read(data: bytes, folder: Path) -> object:
        path = folder / ("p.npz" if data[:2] == b"PK" else "p.jsonl")
        path.write_bytes(data)
        return read_predictions(path)

    return Target("predictions", [file.getvalue(), lines], read)


def markups() -> Target:
    """Markup files: ``jvcr.markups.file.read_markup``."""
    from jvcr.markups.file import read_markup

    good = [
        b'name = "three"\nnames = ["a", "b", "c"]\nmirror = [["a", "b"]]\nnormaliser = ["a", "b"]\n'
        b'[groups]\nall = ["a", "c", "b"]\n[from.ibug-68]\na = [36, 39]\nb = [42, 45]\nc = {30 = 0.5, 33 = 0.5}\n',
        b'name = "two"\nn_points = 2\nmirror = [[0, 1]]\nnormaliser = [0, 1]\nedges = [[0, 1]]\n',
    ]

    def read(data: bytes, folder: Path) -> object:
        path = folder / "markup.toml"
        path.write_bytes(data)
        return read_markup(path)

    return Target("markups", good, read, (ValueError,))


def tables() -> Target:
    """Training tables: labels and images of ``jvcr.data.table.Table``, row by row."""
    from jvcr.data.table import Table

    labels = io.BytesIO()
    points = np.random.default_rng(0).uniform(5, 25, (3, 68, 3)).astype(np.float32)
    np.savez(
        labels,
        id=np.array(["a", "b", "c"]),
        split=np.array(["train"] * 3),
        points=points,
        weight=np.ones(3, np.float32),
        source=np.array(["s"] * 3),
        box=np.tile(np.float32([5, 5, 25, 25]), (3, 1)),
    )
    archive_file = io.BytesIO()
    with tarfile.open(fileobj=archive_file, mode="w") as archive:
        for name in ("a", "b", "c"):
            data = cv2.imencode(".webp", np.full((32, 32, 3), 90, np.uint8))[1].tobytes()
            member = tarfile.TarInfo(f"{name}.webp")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    good_labels, good_tar = labels.getvalue(), archive_file.getvalue()

    def read(data: bytes, folder: Path) -> object:
        is_labels = data[:2] == b"PK" or len(data) < 1000
        (folder / "labels.npz").write_bytes(data if is_labels else good_labels)
        (folder / "images.tar").write_bytes(good_tar if is_labels else data)
        table = Table(folder, "train", memory_gb=0)
        return [table[row] for row in range(len(table))]

    return Target("tables", [good_labels, good_tar], read)


def weights() -> Target:
    """Weights, and entries of their header rewritten: ``jvcr.model.checkpoint.load_weights``."""
    from jvcr.markups.markup import MARKUP_68
    from jvcr.model.checkpoint import Header, load_weights, save_weights
    from jvcr.model.config import PRESETS
    from jvcr.model.jvcr import JVCR

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.safetensors"
        save_weights(path, JVCR(PRESETS["tiny"]).eval(), Header(PRESETS["tiny"], MARKUP_68, {"licence": "none"}))
        good = path.read_bytes()

    def read(data: bytes, folder: Path) -> object:
        path = folder / "fuzzed.safetensors"
        path.write_bytes(data)
        return load_weights(path)

    return Target("weights", [good], read, mutate=_header_damaged)


def _header_damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Half of the damage goes to the header alone, whose length then fits again."""
    if rng.random() < 0.5:
        return mutated(data, others, rng)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"]["jvcr"])
    _damage_value(described, rng)
    header["__metadata__"]["jvcr"] = json.dumps(described)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _damage_value(value: object, rng: random.Random) -> None:
    """Replace, remove or add something somewhere in nested dictionaries and lists."""
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value) if isinstance(value, dict) else list(range(len(value))))
        inner = value[key]  # type: ignore[index, call-overload]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.7:
            value = inner
            continue
        if rng.random() < 0.2:
            del value[key]  # type: ignore[arg-type]
        else:
            value[key] = rng.choice([None, -1, 0, 2**62, 1e308, float("nan"), "", "x", [], {}, [[]], True, [1] * 50])  # type: ignore[index, call-overload]
        return


def networks() -> Target:
    """ONNX files: ``jvcr.runtime.onnx.OnnxRuntime``, on the shipped detector's smaller cousin of one layer."""
    import onnx
    from onnx import TensorProto, helper

    from jvcr.markups.markup import MARKUP_68
    from jvcr.model.checkpoint import Header
    from jvcr.model.config import PRESETS
    from jvcr.runtime.onnx import OnnxRuntime

    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["batch", 64, 64, 3])
    ends = [
        helper.make_tensor_value_info("volume", TensorProto.FLOAT, ["batch", 16, 16, 16]),
        helper.make_tensor_value_info("points_unit", TensorProto.FLOAT, ["batch", 68, 3]),
    ]
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["wide", "as_volume"], ["volume"]),
        helper.make_node("Reshape", ["wide", "as_points"], ["points_unit"]),
    ]
    shapes = [
        helper.make_tensor("as_volume", TensorProto.INT64, [4], [-1, 16, 16, 16]),
        helper.make_tensor("as_points", TensorProto.INT64, [3], [-1, 68, 3]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [crops], ends, shapes), opset_imports=[helper.make_opsetid("", 18)]
    )
    # Without a checksum, as files of version 0.1, or all damage would end there.
    described = json.loads(Header(PRESETS["tiny"], MARKUP_68, {}).to_json())
    described.pop("checksum")
    helper.set_model_props(model, {"jvcr": json.dumps(described)})
    good = onnx.ModelProto.SerializeToString(model)

    def read(data: bytes, folder: Path) -> object:
        path = folder / "fuzzed.onnx"
        path.write_bytes(data)
        return OnnxRuntime(path, threads=1)

    return Target("networks", [good], read)


def videos() -> Target:
    """Films: ``jvcr.video.files.VideoSource``, frame by frame."""
    import av

    from jvcr.video.files import VideoSource

    seeds = []
    for ending in (".mp4", ".mkv"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"film{ending}"
            with av.open(str(path), "w") as film:
                stream = film.add_stream("h264", rate=25)
                stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
                for k in range(6):
                    frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * k, np.uint8), format="rgb24")
                    film.mux(stream.encode(frame))
                film.mux(stream.encode())
            seeds.append(path.read_bytes())

    def read(data: bytes, folder: Path) -> object:
        path = folder / ("film.mp4" if data[4:8] == b"ftyp" else "film.mkv")
        path.write_bytes(data)
        with VideoSource(path) as frames:
            return sum(1 for _ in frames)

    return Target("videos", seeds, read)


TARGETS: dict[str, Callable[[], Target]] = {
    make.__name__: make for make in (images, boxes, records, predictions, markups, tables, weights, networks, videos)
}
