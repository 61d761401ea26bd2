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
from typing import Any

import cv2
import numpy as np
import PIL.Image
from fuzz_mutate import mutated, png_resealed, tar_resealed, text_mutated, value_damaged, zip_mutated

Read = Callable[[bytes, Path], object]
"""The input's bytes and a folder of its own → whatever comes out. It raises only what is documented."""


@dataclass(frozen=True)
class Target:
    """A reader of files.

    Attributes:
        seeds: good files.
        read: reads one; the folder may be written to.
        documented: the exceptions that its docstring names. Anything else is a fault.
        slowest_s: an input that takes more processor time is a fault.
        label: what messages call the file, where it is not in the folder.
        most_mb: an input that raises the process's peak memory by more is a fault.
        mutate: damages a seed; plain bytes by default.
    """

    name: str
    seeds: list[bytes]
    read: Read
    documented: tuple[type[Exception], ...] = (ValueError, OSError)
    slowest_s: float = 10.0
    label: str = "fuzzed"
    most_mb: float = 100.0
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
        [*seeds, sixteen, *_rare_images(smooth)],
        lambda data, _: decode_image(data, "fuzzed", max_pixels=1_000_000),
        (ImageError,),
        mutate=_image_damaged,
    )


def _image_damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Most PNG files get right checksums again; else nothing but those would be tested."""
    out = mutated(data, others, rng)
    return png_resealed(out) if rng.random() < 0.8 else out


def _rare_images(smooth: np.ndarray) -> list[bytes]:
    """Animations, metadata, palettes, and the formats that not every Pillow has."""
    picture = PIL.Image.fromarray(smooth)
    palette, clear = picture.quantize(16), picture.convert("RGBA")
    clear.putalpha(90)

    def several() -> dict[str, Any]:
        # New pictures each time: Pillow leaves the settings of a format on them.
        return {"save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)]}

    seeds = []
    for image, kind, settings in (
        (palette, "PNG", {"transparency": 3}),
        (clear, "PNG", {"exif": _exif()}),
        (picture.convert("1"), "PNG", {}),
        (palette, "BMP", {}),
        (palette, "GIF", {"transparency": 2}),
        (picture, "PNG", several()),
        (palette, "GIF", several()),
        (picture, "WEBP", several()),
        (clear, "WEBP", {"exif": _exif()}),
        (picture, "MPO", several()),
        (picture, "TIFF", several()),
        (picture, "TIFF", {"compression": "tiff_adobe_deflate", "exif": _exif()}),
        (picture, "TIFF", {"compression": "jpeg"}),
        (picture.convert("1"), "TIFF", {"compression": "group4"}),
        (picture, "JPEG2000", {}),
        (picture, "AVIF", {"speed": 10}),
    ):
        file = io.BytesIO()
        try:
            image.copy().save(file, kind, **settings)  # type: ignore[arg-type]
        except (OSError, KeyError):  # not in this build of Pillow
            continue
        seeds.append(file.getvalue())
    return seeds


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

    return Target("boxes", good, read, (ValueError,), mutate=text_mutated)


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

    return Target("records", good, read, (ValueError,), mutate=_json_lines_damaged)


def _json_lines_damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A third of the time a value of one line changes, and the line is still JSON."""
    if rng.random() < 0.67:
        return text_mutated(data, others, rng)
    lines = data.splitlines()
    place = rng.randrange(len(lines))
    record = json.loads(lines[place])
    value_damaged(record, rng)
    lines[place] = json.dumps(record).encode()
    return b"\n".join(lines) + b"\n"


def _arrays_damaged(data: bytes, rng: random.Random) -> bytes:
    """One array of a good ``.npz`` file changes; the file is in order."""
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    key = rng.choice(list(arrays))
    value = arrays[key]
    damage = rng.randrange(7)
    if value.dtype.kind == "U" and str(value.flat[0]).startswith("{"):
        arrays[key] = np.array(_description_damaged(str(value), rng))
    elif damage == 0:
        arrays[key] = np.zeros(value.shape, rng.choice(("f2", "i8", "u1", "?", "c16", "U3", "S2", "M8[D]", "V4")))
    elif damage == 1:
        arrays[key] = value[:0] if value.ndim else value.reshape(1)
    elif damage == 2:
        arrays[key] = value[..., None] if rng.random() < 0.5 else value.reshape(-1)
    elif damage == 3:
        arrays[key] = np.concatenate([value.reshape(-1)[:1]] * len(value)) if value.ndim else value
    elif damage == 4:
        arrays[key] = arrays[rng.choice(list(arrays))]
    elif value.dtype.kind in "fi":
        changed = value.astype(np.float64)
        changed.flat[rng.randrange(value.size)] = rng.choice((np.nan, np.inf, -1, 1e30, 1e300, -(2.0**62)))
        with np.errstate(all="ignore"):
            arrays[key] = changed.astype(rng.choice((np.float32, np.float64)))
    else:
        arrays[key] = np.full(value.shape, rng.choice(("", "../x", "a/b", "\0", "é" * 40, "a")))
    file_out = io.BytesIO()
    np.savez(file_out, **arrays)  # type: ignore[arg-type]
    return file_out.getvalue()


def predictions() -> Target:
    """Predictions of other aligners: ``jvcr.evaluate.predictions.read_predictions``."""
    from jvcr.evaluate.predictions import read_predictions
    from jvcr.markups.markup import MARKUP_68

    file = io.BytesIO()
    named = json.dumps({**MARKUP_68.to_dict(), "name": "other"})
    arrays = {"id": np.array(["a", "b"]), "landmarks": np.zeros((2, 68, 3)), "box": np.zeros((2, 4))}
    np.savez(file, about='{"tool": "t"}', markup=named, **arrays)
    lines = b'{"about": {"tool": "t"}}\n' + json.dumps({"id": "a", "landmarks": [[1.0, 2.0]] * 68}).encode() + b"\n"

    def read(data: bytes, folder: Path) -> object:
        path = folder / ("p.npz" if data[:2] == b"PK" else "p.jsonl")
        path.write_bytes(data)
        return read_predictions(path)

    def damage(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
        if data[:2] == b"PK" and rng.random() < 0.5:
            return _arrays_damaged(data, rng)
        return (zip_mutated if data[:2] == b"PK" else _json_lines_damaged)(data, others, rng)

    return Target("predictions", [file.getvalue(), lines], read, (ValueError,), mutate=damage)


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

    return Target("markups", good, read, (ValueError,), mutate=text_mutated)


def tables() -> Target:
    """Training tables: labels and images of ``jvcr.data.table.Table``, row by row."""
    from jvcr.data.table import Table
    from jvcr.markups.markup import MARKUP_68

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
        yaw_deg=np.zeros(3),
        origin=np.ones((3, 3)),
        group=np.array(["g"] * 3),
        openings=np.array(["hand", "", "model"]),
        hand2d=np.zeros((3, 68, 2)),
        visibility=np.ones((3, 68), np.int8),
        markup=json.dumps(MARKUP_68.to_dict()),
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
        is_labels = data[:2] == b"PK"
        (folder / "labels.npz").write_bytes(data if is_labels else good_labels)
        (folder / "images.tar").write_bytes(good_tar if is_labels else data)
        table = Table(folder, "train", memory_gb=0)
        return [table[row] for row in range(len(table))]

    def damage(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
        if data is good_labels and rng.random() < 0.5:
            return _arrays_damaged(data, rng)
        if data is good_labels:
            return zip_mutated(data, others, rng)
        out = mutated(data, others, rng)
        return tar_resealed(out, good_tar) if rng.random() < 0.7 else out

    return Target("tables", [good_labels, good_tar], read, mutate=damage)


def weights() -> Target:
    """Weights, and entries of their header rewritten: ``jvcr.model.checkpoint.load_weights``."""
    from jvcr.markups.markup import MARKUP_68
    from jvcr.model.checkpoint import Header, load_weights, save_weights
    from jvcr.model.config import PRESETS
    from jvcr.model.jvcr import JVCR

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.safetensors"
        save_weights(path, JVCR(PRESETS["tiny"]).eval(), Header(PRESETS["tiny"], MARKUP_68, {"licence": "none"}))
        sealed = path.read_bytes()
    # Without a checksum, as files of version 0.1: all damage would end there.
    header, tensors = _safetensors_parts(sealed)
    entries = header["__metadata__"]
    del entries["jvcr-crc32"]
    entries["jvcr"] = _without_checksum(entries["jvcr"])

    def read(data: bytes, folder: Path) -> object:
        path = folder / "fuzzed.safetensors"
        path.write_bytes(data)
        return load_weights(path)

    return Target("weights", [_safetensors(header, tensors), sealed], read, (ValueError,), mutate=_weights_damaged)


def _without_checksum(description: str) -> str:
    values = json.loads(description)
    values.pop("checksum")
    return json.dumps(values)


def _safetensors_parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _safetensors(header: dict[str, Any], tensors: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def _weights_damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A third bytes, a third the network's description, a third the list of tensors; the header's length fits."""
    how = rng.randrange(3)
    if how == 0:
        return mutated(data, others, rng)
    header, tensors = _safetensors_parts(data)
    if how == 1:
        header["__metadata__"]["jvcr"] = _description_damaged(header["__metadata__"]["jvcr"], rng)
    else:
        value_damaged(header, rng)
    return _safetensors(header, tensors)


def _description_damaged(text: str, rng: random.Random) -> str:
    if rng.random() < 0.2:
        return text_mutated(text.encode(), [text.encode()], rng).decode("utf-8", "replace")
    values = json.loads(text)
    for _ in range(rng.choice((1, 1, 2))):
        value_damaged(values, rng)
    return json.dumps(values)


def networks() -> Target:
    """ONNX files: ``jvcr.runtime.onnx.OnnxRuntime``, on a network of one layer."""
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
    helper.set_model_props(model, {"jvcr": _without_checksum(Header(PRESETS["tiny"], MARKUP_68, {}).to_json())})

    def read(data: bytes, folder: Path) -> object:
        path = folder / "fuzzed.onnx"
        path.write_bytes(data)
        return OnnxRuntime(path, threads=1)

    return Target("networks", [model.SerializeToString()], read, (ValueError,), mutate=_network_damaged)


def detectors() -> Target:
    """ONNX files of face detectors: ``jvcr.detect.network.NetworkDetector``."""
    from onnx import TensorProto, helper

    from jvcr.detect.network import NetworkDetector

    photos = helper.make_tensor_value_info("photos", TensorProto.UINT8, ["batch", "height", "width", 3])
    cells = helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["batch", 7, "rows", "columns"])
    nodes = [
        helper.make_node("Cast", ["photos"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Concat", ["small", "small", "small"], ["nine"], axis=1),
        helper.make_node("Slice", ["nine", "start", "end", "axes"], ["cells"]),
    ]
    numbers = [
        helper.make_tensor(name, TensorProto.INT64, [1], [k]) for name, k in (("start", 0), ("end", 7), ("axes", 1))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [photos], [cells], numbers), opset_imports=[helper.make_opsetid("", 18)]
    )
    described = {"config": {"channels": [8, 16, 24, 32, 40]}, "about": {}}
    helper.set_model_props(model, {"jvcr-detector": json.dumps(described)})

    def read(data: bytes, folder: Path) -> object:
        path = folder / "fuzzed.onnx"
        path.write_bytes(data)
        return NetworkDetector(path, threads=1)

    return Target("detectors", [model.SerializeToString()], read, (ValueError,), mutate=_network_damaged)


def _network_damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A third bytes, a third the network's description, a third shapes, names and numbers of the network."""
    import onnx

    how = rng.randrange(3)
    if how == 0:
        return mutated(data, others, rng)
    model = onnx.ModelProto.FromString(data)
    if how == 1:
        (entry,) = model.metadata_props
        entry.value = _description_damaged(entry.value, rng).encode("utf-8", "replace").decode()
        return model.SerializeToString()
    graph = model.graph
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(6)
        if place == 0:
            end = rng.choice([*graph.input, *graph.output])
            dims = end.type.tensor_type.shape.dim
            if dims and rng.random() < 0.6:
                rng.choice(dims).dim_value = rng.choice((-1, 0, 1, 7, 10**6, 2**31, 2**62))
            else:
                end.name = rng.choice(("", "x", "crops", "volume", "\0", "é" * 300))
        elif place == 1:
            rng.choice([*graph.input, *graph.output]).type.tensor_type.elem_type = rng.randrange(30)
        elif place == 2 and graph.initializer:
            rng.choice(graph.initializer).int64_data[:] = [rng.choice((-2, -1, 0, 3, 2**62))] * rng.randrange(5)
        elif place == 3 and graph.initializer:
            rng.choice(graph.initializer).dims[:] = [rng.choice((-1, 0, 2**40, 4))] * rng.randrange(4)
        elif place == 4:
            node = rng.choice(graph.node)
            node.op_type = rng.choice(("Relu", "Nothing", "", "If", "Loop", "Conv", node.op_type))
            if node.input:
                node.input[0] = rng.choice(("", "crops", node.output[0], "x"))
        else:
            model.opset_import[0].version = rng.choice((-1, 0, 1, 99, 2**62))
    return model.SerializeToString()


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
    make.__name__: make
    for make in (images, boxes, records, predictions, markups, tables, weights, networks, detectors, videos)
}
