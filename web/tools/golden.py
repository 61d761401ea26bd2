"""Write the golden cases of the browser tests to ``web/build/golden``: pictures, and what Python says of them.

    python web/tools/golden.py

The pictures are made from the astronaut photograph inside scikit-image (NASA, public domain). Nothing of this is
committed. An earlier run of the same sources is kept.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import skimage.data

import jvcr
from jvcr import Face, Landmarker, read_image
from jvcr.detect.network import _resized
from jvcr.expression import expression
from jvcr.frames import Crop
from jvcr.geometry import far_side, head_pose, mean_shape_68, rotation_from_angles
from jvcr.images import Image, extract
from jvcr.video.smooth import smoother
from jvcr.video.track import Tracker

OUT = Path(__file__).parents[1] / "build" / "golden"


def turned(photo: Image, degrees: float) -> Image:
    """The photo rotated about its middle, at its size."""
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def scaled(photo: Image, width: int, height: int) -> Image:
    """The photo at another size."""
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)


def crowd(photo: Image) -> Image:
    """Twelve different small faces on 1280 × 720 pixels: scaled, mirrored, turned, darkened."""
    canvas = np.full((720, 1280, 3), 90, np.uint8)
    for index in range(12):
        side = (110, 180, 150, 220)[index % 4]
        part = scaled(turned(photo, (-20, 0, 15)[index % 3]), side, side)
        part = part[:, ::-1] if index % 2 else part
        left, top = 30 + (index % 4) * 310, 10 + (index // 4) * 235
        canvas[top : top + side, left : left + side] = (part * (1.0, 0.6, 0.8)[index % 3]).astype(np.uint8)
    return canvas


def pictures() -> dict[str, Image]:
    """The pictures, by name."""
    photo = skimage.data.astronaut()
    return {
        "astronaut": photo,
        "turned_30": turned(photo, 30),
        "turned_-70": turned(photo, -70),
        "upside_down": np.ascontiguousarray(photo[::-1, ::-1]),
        "mirrored": np.ascontiguousarray(photo[:, ::-1]),
        "enlarged": scaled(photo, 1100, 1100),
        "small": scaled(photo, 150, 141),
        "odd": scaled(photo, 397, 463)[:, 3:],
        "dark": (photo * 0.18).astype(np.uint8),
        "crowd": crowd(photo),
        "close_up": scaled(np.ascontiguousarray(photo[95:180, 185:262]), 308, 340),
        "cut_at_the_edge": np.ascontiguousarray(photo[60:, 215:]),
        "no_face": np.ascontiguousarray(photo[260:500, 280:500]),
    }


def requests(photos: dict[str, Image]) -> Iterator[dict[str, Any]]:
    """What is predicted: picture, settings of the landmarker, boxes."""
    for name in photos:
        yield {"picture": name}
    yield {"picture": "turned_30", "settings": {"mirror": False}}
    yield {"picture": "crowd", "settings": {"refine": False, "mirror": False}}
    yield {"picture": "crowd", "detect_size": 1280}
    yield {"picture": "crowd", "settings": {"min_score": 0.2}}
    boxes = [[178.0, 67.5, 262.25, 172.0], [150, 40, 300, 215.5]]
    yield {"picture": "astronaut", "boxes": boxes}
    yield {"picture": "turned_-70", "boxes": boxes, "settings": {"refine": False}}


def face_values(face: Face) -> dict[str, Any]:
    """Everything in full precision."""
    return {
        "landmarks": face.landmarks.tolist(),
        "box": dict(zip(("x0", "y0", "x1", "y1"), face.box.to_list(), strict=True)),
        "score": face.score,
        "pose": face.pose.to_dict(),
        "expression": vars(face.expression),
        "visibility": None if face.visibility is None else face.visibility.tolist(),
        "sigma_px": None if face.sigma_px is None else face.sigma_px.tolist(),
        "reliable": face.reliable,
        "hidden": face.hidden.tolist(),
        "crop": asdict(face.crop) if face.crop else None,
    }


def predictions(photos: dict[str, Image]) -> list[dict[str, Any]]:
    """The faces of every request."""
    cases = []
    for request in requests(photos):
        settings = request.get("settings", {})
        more = {"detect_size": request["detect_size"]} if "detect_size" in request else {}
        landmarker = Landmarker(**settings, **more, threads=1)
        faces = landmarker.predict(photos[request["picture"]], request.get("boxes"))
        cases.append({**request, "faces": [face_values(face) for face in faces]})
    return cases


def jpegs(photos: dict[str, Image], folder: Path) -> list[dict[str, Any]]:
    """Pictures as JPEG files, and Python's faces in the decoded files."""
    cases, landmarker = [], Landmarker(threads=1)
    for name, quality in (("astronaut", 92), ("turned_30", 85), ("crowd", 90)):
        path = folder / f"{name}.jpg"
        # Exif orientation 6: stored lying, shown turned to the right.
        lying = name == "turned_30"
        exif = PIL.Image.Exif()
        exif[0x0112] = 6 if lying else 1
        stored = np.rot90(photos[name]) if lying else photos[name]
        PIL.Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=quality, exif=exif)
        faces = landmarker.predict(read_image(path))
        cases.append({"file": path.name, "faces": [face_values(face) for face in faces]})
    return cases


def pixel_cases(photos: dict[str, Image], folder: Path) -> list[dict[str, Any]]:
    """Crops and resized pictures as raw RGB."""
    cases: list[dict[str, Any]] = []

    def store(pixels: Image, **case: Any) -> None:
        name = f"pixels_{len(cases):02}.rgb"
        (folder / name).write_bytes(np.ascontiguousarray(pixels).tobytes())
        cases.append({**case, "file": name, "width": pixels.shape[1], "height": pixels.shape[0]})

    crops = (
        Crop(220.3, 120.7, 170.2, 128, 12.5),
        Crop(220.0, 120.0, 128.0, 128),
        Crop(10.25, 3.5, 90.0, 128, -140.0),
        Crop(300.1, 250.2, 700.9, 128, 33.0),
        Crop(256.0, 256.0, 300.0, 128),
        Crop(505.0, 500.0, 40.0, 128, 90.0),
    )
    for crop in crops:
        store(extract(photos["astronaut"], crop), crop=asdict(crop), picture="astronaut")
    for name, width, height in (
        *(("astronaut", 320, 320), ("astronaut", 256, 256), ("astronaut", 128, 128), ("crowd", 640, 360)),
        *(("crowd", 320, 180), ("odd", 320, 376), ("odd", 137, 160), ("small", 300, 282), ("small", 299, 281)),
    ):
        store(_resized(photos[name], (width, height)), picture=name)
    return cases


def shapes() -> list[dict[str, Any]]:
    """Head pose and expression of turned and distorted mean heads."""
    rng = np.random.default_rng(7)
    cases = []
    for yaw, pitch, roll in ((0, 0, 0), (50, -20, 10), (-88, 5, -30), (130, 40, 170), (10, 80, -179)):
        head = mean_shape_68() + rng.normal(0, 0.02, (68, 3))
        points = (90 * head @ rotation_from_angles(yaw, pitch, roll).T + [200, 100, 0]).astype(np.float32)
        pose = head_pose(points).to_dict()
        values = {"pose": pose, "expression": vars(expression(points)), "hidden": far_side(points).tolist()}
        cases.append({"landmarks": points.tolist(), **values})
    return cases


def smoothing() -> list[dict[str, Any]]:
    """Filtered random walks."""
    rng = np.random.default_rng(3)
    cases = []
    for strength in (0.2, 0.5, 1.0):
        walk = rng.normal(0, 3, (12, 4, 3)).cumsum(axis=0).astype(np.float32)
        times = rng.uniform(0.01, 0.05, 12).cumsum()
        times[8] = times[7]  # time does not increase: the filter restarts
        one = smoother(strength)
        assert one is not None
        out = [one(points, 80.0, time).tolist() for points, time in zip(walk, times, strict=True)]
        cases.append({"strength": strength, "points": walk.tolist(), "times": times.tolist(), "filtered": out})
    return cases


def tracking(photo: Image, folder: Path) -> dict[str, Any]:
    """A face that moves, leaves for a moment, and comes back."""
    tracker = Tracker(Landmarker(threads=1), detect_every_s=0.4)
    frames = []
    for index in range(8):
        frame = np.roll(scaled(photo, 320, 320)[:240], 4 * index, axis=1)
        if index in (4, 5):
            frame = np.full_like(frame, 70)
        name = f"frame_{index}.rgb"
        (folder / name).write_bytes(np.ascontiguousarray(frame).tobytes())
        tracked = tracker(frame, index / 10)
        faces = [
            {"identity": one.identity, "raw": one.raw.tolist(), "face": {**face_values(one.face)}} for one in tracked
        ]
        frames.append({"file": name, "time_s": index / 10, "faces": faces})
    return {"width": 320, "height": 240, "detect_every_s": 0.4, "searches": tracker.searches, "frames": frames}


def camera_frames(photo: Image) -> Iterator[Image]:
    """60 frames of 1280 × 720 pixels: a face that moves."""
    background = np.full((720, 1280, 3), 80, np.uint8)
    for index in range(60):
        frame = background.copy()
        left = 300 + round(60 * np.sin(index * np.pi / 30))
        frame[100:612, left : left + 512] = photo
        yield frame


def camera(photo: Image, path: Path) -> None:
    """Motion JPEG for Chromium's fake camera, which plays it at 30 frames/s."""
    with path.open("wb") as file:
        for frame in camera_frames(photo):
            file.write(cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def fast_camera(photo: Image, path: Path) -> None:
    """Uncompressed video (YUV4MPEG2) for the same fake camera, at 60 frames/s."""
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W1280 H720 F60:1 Ip A1:1 C420\n")
        for frame in camera_frames(photo):
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())


def fingerprint() -> str:
    """Of everything that the cases depend on."""
    package = Path(jvcr.__file__).parent
    files = sorted([*package.rglob("*.py"), *package.glob("weights/*.onnx"), *package.glob("weights/*.csv")])
    digest = hashlib.sha256()
    for path in (Path(__file__), *files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    """Write the folder, unless an earlier run did."""
    if "--fast-camera" in sys.argv[1:]:
        OUT.mkdir(parents=True, exist_ok=True)
        fast_camera(pictures()["astronaut"], OUT / "camera60.y4m")
    stamp, current = OUT / "stamp", fingerprint()
    if stamp.is_file() and stamp.read_text() == current:
        return 0
    OUT.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    photos = pictures()
    for name, photo in photos.items():
        (OUT / f"{name}.rgb").write_bytes(photo.tobytes())
        PIL.Image.fromarray(photo).save(OUT / f"{name}.png")
    golden = {
        "pictures": {name: {"width": p.shape[1], "height": p.shape[0]} for name, p in photos.items()},
        "predictions": predictions(photos),
        "jpegs": jpegs(photos, OUT),
        "pixels": pixel_cases(photos, OUT),
        "shapes": shapes(),
        "smoothing": smoothing(),
        "tracking": tracking(photos["astronaut"], OUT),
    }
    camera(photos["astronaut"], OUT / "camera.mjpeg")
    (OUT / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    stamp.write_text(current)
    print(f"{OUT}: {len(golden['predictions'])} predictions written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
