"""``jvcr predict``: photos in, landmarks out."""

from __future__ import annotations

import contextlib
import csv
import glob
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.progress import Progress

from jvcr.cli.console import fail, log
from jvcr.images import IMAGE_ENDINGS, Image, ImageError, read_image, write_image
from jvcr.landmarker import MIN_SCORE, Landmarker
from jvcr.results import Face

_DEFAULT_OUT = Path("jvcr-out")


def predict(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO…", help="Photos, folders of photos, or globs.")],
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Landmark boxes: JSON {photo: [[x0, y0, x1, y1], …]} or CSV lines photo,x0,y0,x1,y1. "
            "Photos are named by path or file name; a photo that is not named gets no face."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures and pages.")] = _DEFAULT_OUT,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="One JSON object a photo a line; - is stdout.")
    ] = None,
    draw: Annotated[bool, typer.Option("--draw", help="Write each photo with its landmarks.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write a 3D page for each photo (extra: demo).")] = False,
    weights: Annotated[str, typer.Option(help="Name of shipped weights, or an ONNX file.")] = "small",
    min_score: Annotated[float, typer.Option(help="Drop found faces with a lower score.")] = MIN_SCORE,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.")] = 0,
) -> None:
    """Find faces and their 68 landmarks in 3D.

    With none of --json, --draw and --html: pictures and landmarks.jsonl in the --out folder.
    """
    if json_to is None and not draw and not html:
        draw, json_to = True, str(out / "landmarks.jsonl")
    if draw or html:
        out.mkdir(parents=True, exist_ok=True)
    given = read_boxes(boxes) if boxes else None
    paths, failures = find_photos(photos)
    landmarker = Landmarker(weights, min_score=min_score, threads=threads)
    names = OutputNames()
    done = 0
    with _json_lines(json_to) as lines, Progress(console=log, transient=True, disable=len(paths) < 2) as progress:
        for path in progress.track(paths, description="photos"):
            try:
                image = read_image(path)
                faces = landmarker.predict(image, _boxes_of(path, given))
            except ValueError as error:
                failures += 1
                fail(str(error) if isinstance(error, ImageError) else f"{path}: {error}")
                continue
            record = to_record(str(path), image, faces)
            if lines is not None:
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
                lines.flush()
            written = write_outputs(names.of(path), out, image, faces, draw, html)
            done += 1
            if json_to != "-":
                typer.echo(summary(str(path), faces, written))
    if failures:
        log.print(f"{failures} failed, {done} done", highlight=False)
        raise typer.Exit(1)


def find_photos(arguments: list[str]) -> tuple[list[Path], int]:
    """Expand folders and globs; report arguments that match nothing. Returns the photos and the number of failures."""
    found: dict[Path, None] = {}
    failures = 0
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            matches = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())
            reason = f"the folder holds no image ({', '.join(sorted(IMAGE_ENDINGS))})"
        elif path.exists():
            matches, reason = [path], ""
        else:
            matches = sorted(Path(match) for match in glob.glob(argument, recursive=True))  # noqa: PTH207 - absolute too
            reason = "no such file"
        if not matches:
            fail(f"{argument}: {reason}")
            failures += 1
        found |= dict.fromkeys(matches)
    return list(found), failures


def read_boxes(path: Path) -> dict[str, list[list[float]]]:
    """Boxes by photo, from JSON or CSV by the file's ending.

    Raises:
        ValueError: the file is missing or of another form; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    expected = "expected JSON {photo: [[x0, y0, x1, y1], …]} or CSV lines photo,x0,y0,x1,y1"
    if path.suffix.lower() == ".json":
        try:
            values = json.loads(text)
            return {str(name): [[float(v) for v in box] for box in rows] for name, rows in values.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: {error}; {expected}") from None
    boxes: dict[str, list[list[float]]] = {}
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        if not row or (number == 1 and row[1:2] == ["x0"]):
            continue
        try:
            name, x0, y0, x1, y1 = row
            boxes.setdefault(name, []).append([float(x0), float(y0), float(x1), float(y1)])
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}; {expected}") from None
    return boxes


def _boxes_of(path: Path, given: dict[str, list[list[float]]] | None) -> list[list[float]] | None:
    if given is None:
        return None
    return given.get(str(path), given.get(path.name, []))


def to_record(name: str, image: Image, faces: list[Face]) -> dict[str, Any]:
    """The JSON object of one photo."""
    height, width = image.shape[:2]
    return {"image": name, "width": width, "height": height, "faces": [face.to_dict() for face in faces]}


@contextlib.contextmanager
def _json_lines(target: str | None) -> Iterator[TextIO | None]:
    if target is None:
        yield None
    elif target == "-":
        yield sys.stdout
    else:
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            yield file


class OutputNames:
    """A name for each photo's outputs; photos of one name in different folders do not overwrite each other."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def of(self, path: Path) -> str:
        name, number = path.stem, 2
        while name.casefold() in self._used:
            name, number = f"{path.stem}_{number}", number + 1
        self._used.add(name.casefold())
        return name


def write_outputs(name: str, out: Path, image: Image, faces: list[Face], draw: bool, html: bool) -> list[Path]:
    """Write what was asked for; returns the files."""
    written: list[Path] = []
    if draw:
        from jvcr.draw import draw_faces

        written.append(out / f"{name}_landmarks.jpg")
        write_image(written[-1], draw_faces(image, faces))
    if html:
        from jvcr.figure import write_html

        written.append(out / f"{name}_3d.html")
        write_html(written[-1], image, faces, name)
    return written


def summary(name: str, faces: list[Face], written: list[Path]) -> str:
    """A few readable lines a photo."""
    lines = [f"{name}: {len(faces)} face{'' if len(faces) == 1 else 's'}"]
    for number, face in enumerate(faces, 1):
        b = face.box
        line = f"  {number}  box ({b.x0:.0f}, {b.y0:.0f}) to ({b.x1:.0f}, {b.y1:.0f})  score {face.score:.2f}"
        if face.markup.n_points == 68:
            pose = face.pose
            line += f"  yaw {pose.yaw_deg:+.0f}°  pitch {pose.pitch_deg:+.0f}°  roll {pose.roll_deg:+.0f}°"
        lines.append(line)
    lines += [f"  → {path}" for path in written]
    return "\n".join(lines)
