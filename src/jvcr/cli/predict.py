"""``jvcr predict``: photos in, landmarks out."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import cv2
import typer
from rich.progress import Progress

from jvcr.cli.console import fail, log
from jvcr.cli.options import (
    BackendOption,
    DetectorOption,
    DetectSizeOption,
    DeviceOption,
    MirrorOption,
    PrecisionOption,
    ThreadsOption,
    WeightsOption,
    chosen_landmarker,
)
from jvcr.detect.named import DetectorName
from jvcr.detect.network import DETECT_SIZE
from jvcr.figure import import_plotly
from jvcr.images import IMAGE_ENDINGS, Image, read_image, write_image
from jvcr.landmarker import MIN_SCORE
from jvcr.results import Face
from jvcr.runtime.backends import Backend

_DEFAULT_OUT = Path("jvcr-out")


def predict(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO…", help="Photos, folders of photos, or globs.")],
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Landmark boxes: JSON {photo: [[x0, y0, x1, y1], …]} or CSV lines photo,x0,y0,x1,y1. "
            "Photos are named by path or file name; one that is not named gets no face."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures and pages.")] = _DEFAULT_OUT,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="One JSON object a photo a line; - is stdout.")
    ] = None,
    draw: Annotated[bool, typer.Option("--draw", help="Write each photo with its landmarks.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write a 3D page for each photo (extra: demo).")] = False,
    weights: WeightsOption = "small",
    detector: DetectorOption = DetectorName.OWN,
    detect_size: DetectSizeOption = DETECT_SIZE,
    min_score: Annotated[float, typer.Option(help="Drop found faces with a lower score.")] = MIN_SCORE,
    refine: Annotated[
        bool, typer.Option("--refine/--no-refine", help="Look at each face a second time, upright and centred.")
    ] = True,
    mirror: MirrorOption = True,
    backend: BackendOption = Backend.ONNXRUNTIME,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = 0,
) -> None:
    """Find faces and their landmarks in 3D: the 68 points, or those of the weights' own markup.

    With none of --json, --draw and --html: pictures and landmarks.jsonl in the --out folder.
    """
    if json_to is None and not draw and not html:
        draw, json_to = True, str(out / "landmarks.jsonl")
    if html:
        import_plotly()
    given = GivenBoxes.read(boxes) if boxes else None
    paths, failures = find_photos(photos)
    landmarker = chosen_landmarker(
        weights,
        detector,
        detect_size,
        threads,
        min_score=min_score,
        refine=refine,
        mirror=mirror,
        backend=backend,
        device=device,
        precision=precision,
    )
    outputs = Outputs(out, paths)
    done = 0
    # Summaries on a terminal show the progress; a bar would be drawn across them.
    hide_bar = len(paths) < 2 or sys.stdout.isatty()
    with json_lines(json_to) as lines, Progress(console=log, transient=True, disable=hide_bar) as progress:
        for path in progress.track(paths, description="photos"):
            try:
                image = read_image(path)
                faces = landmarker.predict(image, given.of(path) if given else None)
                if lines is not None:
                    lines.write(json.dumps(to_record(str(path), image, faces)) + "\n")
                    lines.flush()
                written = outputs.write(path, image, faces, draw, html)
            except BrokenPipeError:
                raise
            except (ValueError, OSError, RuntimeError, cv2.error) as error:
                failures += 1
                fail(str(error) if str(path) in str(error) else f"{path}: {error}")
                continue
            done += 1
            if json_to != "-":
                typer.echo(summary(str(path), faces, written))
    for name in given.unused() if given else ():
        failures += 1
        fail(f"{boxes}: {name} is none of the photos")
    if failures:
        log.print(f"{failures} failed, {done} done", highlight=False)
        raise typer.Exit(1)


def find_photos(arguments: list[str]) -> tuple[list[Path], int]:
    """Expand folders and globs; report arguments that match nothing. Returns the photos and the number of failures."""
    found: dict[Path, None] = {}
    failures = 0
    for argument in arguments:
        matches: list[Path] = []
        reason = "no such file"
        try:
            path = Path(argument)
            if path.is_dir():
                matches = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())
                reason = f"the folder holds no image ({', '.join(sorted(IMAGE_ENDINGS))})"
            elif path.exists():
                matches = [path]
            else:
                globbed = sorted(Path(match) for match in glob.glob(argument, recursive=True))  # noqa: PTH207 - absolute too
                matches = [match for match in globbed if match.is_file()]
        except OSError as error:
            reason = error.strerror or str(error)
        if not matches:
            fail(f"{argument}: {reason}")
            failures += 1
        found |= dict.fromkeys(matches)
    return list(found), failures


class GivenBoxes:
    """Landmark boxes by photo, named by path or by file name."""

    def __init__(self, boxes: dict[str, list[list[float]]]) -> None:
        self._boxes = {Path(name).as_posix(): rows for name, rows in boxes.items()}
        self._unused = set(self._boxes)

    def of(self, path: Path) -> list[list[float]]:
        """Boxes of one photo; [] for a photo that is not named."""
        for name in (path.as_posix(), path.name):
            if name in self._boxes:
                self._unused.discard(name)
                return self._boxes[name]
        return []

    def unused(self) -> list[str]:
        """Names that were no photo."""
        return sorted(self._unused)

    @classmethod
    def read(cls, path: Path) -> GivenBoxes:
        """From JSON or CSV, by the file's ending.

        Raises:
            ValueError: the file is missing or of another form; the line is named.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: cannot be read ({error})") from None
        expected = "expected JSON {photo: [[x0, y0, x1, y1], …]} or CSV lines photo,x0,y0,x1,y1"
        try:
            return cls(_json_boxes(text) if path.suffix.lower() == ".json" else _csv_boxes(text))
        except (ValueError, TypeError, AttributeError, csv.Error) as error:
            raise ValueError(f"{path}: {error}; {expected}") from None


def _json_boxes(text: str) -> dict[str, list[list[float]]]:
    return {str(name): [[float(v) for v in box] for box in rows] for name, rows in json.loads(text).items()}


def _csv_boxes(text: str) -> dict[str, list[list[float]]]:
    boxes: dict[str, list[list[float]]] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
        if not row or (number == 1 and row[1:2] == ["x0"]):
            continue
        try:
            name, x0, y0, x1, y1 = row
            boxes.setdefault(name, []).append([float(x0), float(y0), float(x1), float(y1)])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return boxes


def to_record(name: str, image: Image, faces: list[Face]) -> dict[str, Any]:
    """The JSON object of one photo."""
    height, width = image.shape[:2]
    return {"image": name, "width": width, "height": height, "faces": [face.to_dict() for face in faces]}


@contextlib.contextmanager
def json_lines(target: str | None) -> Iterator[TextIO | None]:
    if target is None:
        yield None
    elif target == "-":
        yield sys.stdout
    else:
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            yield file


class Outputs:
    """Pictures and pages in one folder. Nothing overwrites a photo or the outputs of another photo of the same name."""

    def __init__(self, folder: Path, photos: list[Path]) -> None:
        self._folder = folder
        self._photos = {path.resolve() for path in photos}
        self._used: set[str] = set()

    def write(self, path: Path, image: Image, faces: list[Face], draw: bool, html: bool) -> list[Path]:
        """Write what was asked for; returns the files."""
        name = self._free_name(path.stem)
        targets = [self._folder / f"{name}_landmarks.jpg"] * draw + [self._folder / f"{name}_3d.html"] * html
        for target in targets:
            if target.resolve() in self._photos:
                raise ValueError(f"{path}: its result {target} is itself one of the photos; choose another --out")
            self._folder.mkdir(parents=True, exist_ok=True)
            if target.suffix == ".html":
                from jvcr.figure import write_html

                write_html(target, image, faces, name)
            else:
                from jvcr.draw import draw_faces

                write_image(target, draw_faces(image, faces))
        return targets

    def _free_name(self, stem: str) -> str:
        name, number = stem, 2
        while name.casefold() in self._used:
            name, number = f"{stem}_{number}", number + 1
        self._used.add(name.casefold())
        return name


def summary(name: str, faces: list[Face], written: list[Path]) -> str:
    """A few readable lines a photo."""
    lines = [f"{name}: {len(faces)} face{'' if len(faces) == 1 else 's'}"]
    for number, face in enumerate(faces, 1):
        b = face.box
        line = f"  {number}  box ({b.x0:.0f}, {b.y0:.0f}) to ({b.x1:.0f}, {b.y1:.0f})  score {face.score:.2f}"
        if face.has_pose:
            pose = face.pose
            line += f"  yaw {pose.yaw_deg:+.0f}°  pitch {pose.pitch_deg:+.0f}°  roll {pose.roll_deg:+.0f}°"
        lines.append(line)
    lines += [f"  → {path}" for path in written]
    return "\n".join(lines)
