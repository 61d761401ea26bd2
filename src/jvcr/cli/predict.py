"""``jvcr predict``: photos in, landmarks out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

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
from jvcr.draw.page import import_plotly
from jvcr.images import Image, read_image, write_image
from jvcr.io.boxes import GivenBoxes
from jvcr.io.photos import find_photos
from jvcr.io.records import json_lines, photo_record
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
    paths, problems = find_photos(photos)
    for problem in problems:
        fail(problem)
    failures = len(problems)
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
                    lines.write(json.dumps(photo_record(str(path), image, faces)) + "\n")
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
                from jvcr.draw.page import write_html

                write_html(target, image, faces, name)
            else:
                from jvcr.draw.landmarks import draw_faces

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
