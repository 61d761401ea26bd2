"""Speed on this machine: backends, precisions, batch sizes, threads, complete pipelines, video, and other tools."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jvcr.camera import Camera
from jvcr.detect.network import NetworkDetector
from jvcr.evaluate.motion import MovingFaces, Placement
from jvcr.extras import MissingExtra
from jvcr.frames import Box, Crop
from jvcr.images import Image, decode_image, extract
from jvcr.landmarker import Landmarker
from jvcr.locate import locate, trust_of
from jvcr.results import Face
from jvcr.runtime.backends import Backend, open_backend
from jvcr.video.files import import_av
from jvcr.video.track import Tracker

PRECISIONS = {
    Backend.ONNXRUNTIME: ("fp32",),
    Backend.OPENVINO: ("fp32", "bf16"),
    Backend.TORCH: ("fp32", "bf16"),
}
"""Precisions timed for each backend."""


@dataclass(frozen=True)
class Timing:
    """One row of the table.

    Attributes:
        what: row label. settings: what was timed.
        units: faces or frames per call.
        ms: percentiles of the time per call: "p10", "p50", "p90", "p99".
        memory_mb: peak memory of the process, which ran only this row; None where the system does not report it.
        remark: for example, the distance between these landmarks and those of ONNX Runtime.
    """

    what: str
    settings: dict[str, Any]
    units: int
    ms: dict[str, float]
    memory_mb: float | None
    remark: str = ""

    @property
    def per_second(self) -> float:
        """Units per second, from the median time."""
        return 1e3 * self.units / self.ms["p50"]


@dataclass(frozen=True)
class Work:
    """What to time. Sent to a fresh process."""

    kind: str
    photo: Image
    box: Box
    weights: str = "small"
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 2.0


def run(photo: Image, weights: str = "small", quick: bool = False) -> Iterator[Timing | str]:
    """Yield rows, each measured in a fresh process, or the reason as text if a row cannot be measured.

    Args:
        photo: (H, W, 3) uint8 RGB in which exactly one face is detected.
        quick: measure for a tenth of the time, with one thread only.
    Raises:
        ValueError: no face or several faces are detected.
    """
    found = Landmarker(weights).predict(photo)
    if len(found) != 1:
        raise ValueError(f"{len(found)} faces were detected in the photo; expected exactly one")
    seconds = 0.2 if quick else 2.0
    cores = 1 if quick else os.cpu_count() or 1
    for work in _all_work(partial(Work, photo=photo, box=found[0].box, weights=weights, seconds=seconds), cores):
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            try:
                yield fresh.submit(measure, work).result()
            except (MissingExtra, ValueError, FileNotFoundError, ImportError) as error:
                yield f"{_name(work)}: {error}"
    yield from start_times(1 if quick else 7)


def machine() -> dict[str, Any]:
    """The machine, the commit and the package versions."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "packages": _versions(),
    }


def to_markdown(rows: list[Timing], about: dict[str, Any]) -> str:
    """The machine as one line, then the rows as a table."""
    lines = [
        f"{about['date']}, {about['processor']}, {about['cores']} cores, {about['system']}, Python {about['python']}, "
        f"commit {about['commit']}; " + ", ".join(f"{name} {version}" for name, version in about["packages"].items()),
        "",
        "| what | ms, median | p10 | p90 | p99 | per second | MB | remark |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        percentiles = " | ".join(f"{row.ms[name]:.4g}" for name in ("p50", "p10", "p90", "p99"))
        memory = "–" if row.memory_mb is None else f"{row.memory_mb:.0f}"
        lines.append(f"| {row.what} | {percentiles} | {row.per_second:.4g} | {memory} | {row.remark} |")
    return "\n".join(lines) + "\n"


def to_dict(rows: list[Timing], about: dict[str, Any]) -> dict[str, Any]:
    """JSON-able: the machine, and every row with its units per second."""
    return {"machine": about, "rows": [asdict(row) | {"per_second": row.per_second} for row in rows]}


def measure(work: Work) -> Timing:
    """Measure one row in this process."""
    cv2.setNumThreads(work.settings.get("threads", 1))
    call, units, remark = _PREPARE[work.kind](work)
    for _ in range(3):
        call()
    times: list[float] = []
    until = time.perf_counter() + work.seconds
    while len(times) < 5 or time.perf_counter() < until:
        started = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - started))
    return Timing(_name(work), work.settings, units, _percentiles(times), _peak_mb(), remark)


def start_times(repeats: int) -> Iterator[Timing]:
    """Start times in fresh interpreters: of `import jvcr`, and of everything up to the first landmarks (given box)."""
    nothing, imported, first = (
        [_process_ms(code) for _ in range(repeats)]
        for code in (
            "pass",
            "import jvcr",
            "import numpy as np; from jvcr import Landmarker; "
            "Landmarker().predict(np.zeros((512, 512, 3), np.uint8), [[100, 100, 300, 300]])",
        )
    )
    added = [ms - float(np.median(nothing)) for ms in imported]
    yield Timing("`import jvcr`, without the start of Python", {}, 1, _percentiles(added), None)
    yield Timing("start of Python, import, landmarks of the first face", {}, 1, _percentiles(first), None)


def _process_ms(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1e3 * (time.perf_counter() - started)


def _percentiles(times: list[float]) -> dict[str, float]:
    return {f"p{percent}": float(np.percentile(times, percent)) for percent in (10, 50, 90, 99)}


def _all_work(work: Callable[..., Work], cores: int) -> Iterator[Work]:
    for backend in Backend:
        for precision in PRECISIONS[backend]:
            for threads in sorted({1, cores}):
                for batch in (1, 16):
                    settings = {"backend": str(backend), "precision": precision, "threads": threads, "batch": batch}
                    yield work("network", settings=settings)
    if _has_cuda():
        for compiled in (False, True):
            for batch in (1, 256):
                settings = {"backend": "torch", "device": "cuda", "precision": "bf16", "batch": batch}
                yield work("network", settings=settings | {"compile": compiled})
    for looks in (1, 3):
        yield work("box", settings={"threads": 1, "looks": looks})
    yield work("boxes", settings={"threads": 1, "faces": 256})
    for size in (320, 640, 1280):
        yield work("search", settings={"threads": 1, "size": size})
    yield work("decode", settings={"threads": 1})
    yield work("crop", settings={"threads": 1})
    for name in (_TRUST, *_FIELDS):
        yield work("field", settings={"threads": 1, "field": name})
    for looks in (1, 3):
        yield work("photo", settings={"threads": 1, "looks": looks})
    for faces in (1, 4):
        yield work("video", settings={"threads": 2, "faces": faces})
    yield work("film", settings={"threads": 2, "faces": 1})
    if importlib.util.find_spec("mediapipe"):
        yield work("mediapipe")


def _has_cuda() -> bool:
    """Checked in another process: importing PyTorch takes a second and keeps its memory."""
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


_Prepared = tuple[Callable[[], object], int, str]


def _network(work: Work) -> _Prepared:
    settings = dict(work.settings)
    batch = settings.pop("batch")
    runtime = open_backend(work.weights, **settings)
    crop = extract(work.photo, Crop.from_box(work.box, runtime.image_size, rule=runtime.crop_rule))
    crops = np.stack([crop] * batch)
    apart = ""
    if settings["backend"] != Backend.ONNXRUNTIME or settings["precision"] != "fp32":
        # In a separate process, so that its memory does not count for this row.
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            reference = other.submit(_reference_points, work.weights, crops[:1]).result()
        distance = runtime.image_size * np.linalg.norm(runtime(crops[:1]).points_unit - reference, axis=-1)
        apart = f"{distance.mean():.3f} px mean distance to onnxruntime ({runtime.image_size}-px crop)"
    return lambda: runtime(crops), batch, apart


def _reference_points(weights: str, crops: Image) -> Any:
    return open_backend(weights, threads=1)(crops).points_unit


def _given_box(work: Work) -> _Prepared:
    landmarker = _landmarker(work)
    return lambda: landmarker.predict(work.photo, [work.box]), 1, ""


def _many_boxes(work: Work) -> _Prepared:
    landmarker, count = _landmarker(work), work.settings["faces"]
    return lambda: landmarker.predict(work.photo, [work.box] * count), count, ""


def jpeg_of(photo: Image) -> bytes:
    """The photo at 1280 × 720, as a JPEG file."""
    ok, data = cv2.imencode(".jpg", _wide(photo)[:, :, ::-1])
    assert ok
    return data.tobytes()


def _decode(work: Work) -> _Prepared:
    data = jpeg_of(work.photo)
    return lambda: decode_image(data, "photo"), 1, ""


def _crop(work: Work) -> _Prepared:
    """A warp as in the refinement pass: rotated, and of a face larger than the crop."""
    photo = _wide(work.photo)
    crop = Crop(640, 360, 180, 128, 5)
    return lambda: extract(photo, crop), 1, ""


_TRUST = "visibility and sigma_px"

_FIELDS: dict[str, Callable[[Face], object]] = {
    "pose": lambda face: face.pose,
    "expression": lambda face: face.expression,
    "hidden": lambda face: face.hidden,
    "reliable": lambda face: face.reliable,
    "in_camera": lambda face: face.in_camera(Camera.from_fov(1280, 720, 60)),
    "to_dict": lambda face: face.to_dict(),
}
"""What a face computes when it is asked for."""


def _field(work: Work) -> _Prepared:
    """One field of a face for which nothing has been computed yet."""
    name = work.settings["field"]
    if name == _TRUST:
        runtime = open_backend(work.weights, threads=1)
        crop = Crop.from_box(work.box, runtime.image_size, rule=runtime.crop_rule)
        (located,) = locate(runtime, work.photo, [crop])
        return lambda: trust_of(runtime, located, work.photo), 1, "part of every prediction"
    (face,) = _landmarker(work).predict(work.photo, [work.box])
    read = _FIELDS[name]
    return lambda: read(replace(face)), 1, ""


def _photo(work: Work) -> _Prepared:
    landmarker, data = _landmarker(work), jpeg_of(work.photo)

    def call() -> None:
        assert landmarker.predict(decode_image(data, "photo"))

    return call, 1, "including decoding and face detection"


def _search(work: Work) -> _Prepared:
    detector = NetworkDetector(size=work.settings["size"], threads=work.settings["threads"])
    photo = _wide(work.photo)
    return lambda: detector(photo), 1, ""


def _video(work: Work) -> _Prepared:
    """Tracking of frames that are already decoded."""
    landmarker = _tracking(work)
    frames = list(moving_frames(work))

    def call() -> None:
        tracker = Tracker(landmarker)
        for step, frame in enumerate(frames):
            assert len(tracker(frame, step / 30)) >= work.settings["faces"]

    return call, len(frames), "face detection once per second; no decoding; MB includes 166 MB of frames"


def _film(work: Work) -> _Prepared:
    import_av()  # so that a missing extra is reported here, not in the other process
    folder = tempfile.TemporaryDirectory()  # kept alive by the closure below
    # In a separate process, so that the encoder's memory does not count for this row.
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        count = other.submit(_write_film, Path(folder.name) / "film.mp4", work).result()
    landmarker = _tracking(work)

    def call() -> None:
        assert sum(len(frame.faces) for frame in landmarker.track(Path(folder.name) / "film.mp4")) == count

    return call, count, "including decoding, H.264"


def _write_film(file: Path, work: Work) -> int:
    """Encode the clip and return its number of frames."""
    av = import_av()
    count = 0
    with av.open(str(file), "w") as container:
        stream = container.add_stream("h264", rate=30)
        stream.width, stream.height = 1280, 720
        for frame in moving_frames(work):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            count += 1
        container.mux(stream.encode())
    return count


def _tracking(work: Work) -> Landmarker:
    return Landmarker(work.weights, mirror=False, threads=work.settings["threads"])


def moving_frames(work: Work) -> Iterator[Image]:
    """Moving faces, 1280 × 720 pixels, 30 frames per second."""
    points = _tracking(work).predict(work.photo, [work.box])[0].landmarks
    one = [(640.0, 360.0, 220.0)]
    places = one if work.settings["faces"] == 1 else [(x, y, 140.0) for x in (320.0, 960.0) for y in (180.0, 540.0)]

    def path(x: float, y: float, size: float) -> Callable[[float], Placement]:
        return lambda t: Placement(x + 60 * math.sin(math.pi * t), y, size, 15 * math.sin(2 * t))

    clip = MovingFaces(work.photo, points, [path(*place) for place in places])
    for step in range(60):
        yield clip.frame(step / 30)


def _mediapipe(work: Work) -> _Prepared:
    from mediapipe.python.solutions import face_mesh

    solutions: Any = face_mesh
    mesh = solutions.FaceMesh(static_image_mode=False, max_num_faces=1)
    photo = _wide(work.photo)
    return lambda: mesh.process(photo), 1, "1280 × 720, tracking mode (no face detection)"


_PREPARE: dict[str, Callable[[Work], _Prepared]] = {
    "network": _network,
    "box": _given_box,
    "boxes": _many_boxes,
    "search": _search,
    "decode": _decode,
    "crop": _crop,
    "photo": _photo,
    "field": _field,
    "video": _video,
    "film": _film,
    "mediapipe": _mediapipe,
}


def _name(work: Work) -> str:
    s = work.settings
    threads = f"{s.get('threads')} thread{'s' if s.get('threads') != 1 else ''}"
    mode = "default (refinement and flip averaging)" if s.get("looks") == 3 else "single pass"
    match work.kind:
        case "network":
            where = f"{s['device']}{', compiled' if s['compile'] else ''}" if "device" in s else threads
            return f"network, {s['backend']} {s['precision']}, {where}, batch {s['batch']}"
        case "box":
            return f"one face in a given box, {mode}, {threads}"
        case "boxes":
            return f"{s['faces']} faces in given boxes, {threads}"
        case "field":
            return f"one face's {s['field']}"
        case "photo":
            return f"1280 × 720 JPEG, one face, {mode}, {threads}"
        case "search":
            return f"face detection, 1280 × 720 photo, detect_size {s['size']}, {threads}"
        case "decode":
            return "decoding a 1280 × 720 JPEG"
        case "crop":
            return "extracting one crop"
        case "film":
            return f"video file, one face, 1280 × 720, {threads}"
        case "video":
            return f"tracking {s['faces']} face{'s' if s['faces'] > 1 else ''}, 1280 × 720, {threads}"
    return "MediaPipe Face Mesh"


def _landmarker(work: Work) -> Landmarker:
    all_looks = work.settings.get("looks", 3) == 3
    return Landmarker(work.weights, refine=all_looks, mirror=all_looks, threads=work.settings["threads"])


def _wide(photo: Image) -> Image:
    """The photo scaled to 1280 × 720 pixels, with black bars at the sides."""
    scale = 720 / photo.shape[0]
    width = min(1280, round(scale * photo.shape[1]))
    side = (1280 - width) // 2
    resized = cv2.resize(photo, (width, 720), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.copyMakeBorder(resized, 0, 0, side, 1280 - width - side, cv2.BORDER_CONSTANT), np.uint8)


def _peak_mb() -> float | None:
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: its peak is inherited from the parent process.
        (line,) = [line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")]
        return float(line.split()[1]) / 1e3
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS: bytes


def _versions() -> dict[str, str]:
    versions = {}
    for name in ("numpy", "opencv-python-headless", "onnxruntime", "openvino", "torch", "mediapipe"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
