"""The JSON Schema describes what predict and video write, all of it and nothing else. tests/batch has the tables."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from fractions import Fraction
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut
from typer.testing import CliRunner

from jvcr import Box, Face
from jvcr.cli.app import app
from jvcr.expression import Expression
from jvcr.io.schema import VERSION, record_schema
from jvcr.markups.file import markup_from
from jvcr.video.blinks import Closure, EyeLimits, EyeState, EyeWatch

RESERVED = {"visibility", "sigma_px", "reliable"}
"""Properties that no weights of this version have."""

PARTS = record_schema()["$defs"]
Record = dict[str, Any]


def check(record: Any, part: str | None = None) -> None:
    """Raises jsonschema's ValidationError unless the record is valid."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (extra: dev)")
    schema = record_schema()
    if part is not None:
        schema = {"$schema": schema["$schema"], "$ref": f"#/$defs/{part}", "$defs": schema["$defs"]}
    jsonschema.Draft202012Validator(schema).validate(record)


def names_of(part: str) -> set[str]:
    return set(PARTS[part]["properties"])


@pytest.fixture(scope="module")
def photo_record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("photos")
    PIL.Image.fromarray(astronaut()[30:270, 100:325]).save(folder / "a.png")
    arguments = ["predict", str(folder / "a.png"), "--json", str(folder / "a.jsonl"), "--draw", "--out", str(folder)]
    done = CliRunner().invoke(app, [*arguments, "--threads", "1", "--no-mirror"])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    (line,) = (folder / "a.jsonl").read_text(encoding="utf-8").splitlines()
    return dict(json.loads(line))


@pytest.fixture(scope="module")
def film_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], Record]:
    """Records of a video's frames, and its file of eyes."""
    av: Any = pytest.importorskip("av", reason="PyAV is not installed (extra: video)")
    folder = tmp_path_factory.mktemp("film")
    with av.open(str(folder / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 224, 240, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(astronaut()[30:270, 100:324]), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    eyes = folder / "eyes.json"
    arguments = ["video", str(folder / "film.mp4"), "--json", "-", "--eyes", str(eyes), "--threads", "1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    return [json.loads(line) for line in done.stdout.splitlines()], json.loads(eyes.read_text(encoding="utf-8"))


def test_the_schema_is_valid_and_has_a_version() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (extra: dev)")
    schema = record_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:jvcr:schema:records:{VERSION}"


def test_the_command_prints_it() -> None:
    done = CliRunner().invoke(app, ["schema"])
    assert done.exit_code == 0 and json.loads(done.stdout) == record_schema()


def test_everything_is_described() -> None:
    def undescribed(name: str, part: Any) -> Iterator[str]:
        if not isinstance(part, dict):
            return
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in PARTS
        elif not part.get("description"):
            yield name
        for inner, value in part.get("properties", {}).items():
            yield from undescribed(f"{name}.{inner}", value)

    missing = [found for name, part in PARTS.items() for found in undescribed(name, part)]
    assert missing == []
    for part in PARTS.values():
        assert set(part.get("required", ())) <= set(part["properties"])


def test_records_of_predict_are_described(photo_record: Record) -> None:
    check(photo_record)
    check(photo_record, "photo")
    assert set(photo_record) == names_of("photo")
    assert set(photo_record["source"]) == set(PARTS["photo"]["properties"]["source"]["properties"])


def test_records_of_video_are_described(film_results: tuple[list[Record], Record]) -> None:
    records, eyes = film_results
    assert len(records) == 3
    for record in records:
        check(record)
        assert set(record) == names_of("frame")
        (face,) = record["faces"]
        assert set(face) - names_of("face") == names_of("tracked_face")
    check(eyes, "eye_report")
    assert set(eyes) == names_of("eye_report") and len(eyes["faces"]) == 1
    assert set(eyes["faces"][0]) == names_of("eye_summary")


def test_every_value_of_a_face_is_described(make_head: Callable[..., NDArray[np.float32]]) -> None:
    points = make_head(20)
    whole = Face(points, Box.around(points), 0.5)
    fewer = markup_from("66").derivations["ibug-68"].apply(points).astype(np.float32)
    other = Face(fewer, Box.around(fewer), 0.5, markup=markup_from("66"))
    found = [face.to_dict(names=names) for face in (whole, other) for names in (False, True)]
    for values in found:
        check(values, "face")
    assert {name for values in found for name in values} == names_of("face") - RESERVED
    assert set(PARTS["face"]["required"]) == set.intersection(*(set(values) for values in found)) - {"pose"}
    assert set(whole.pose.to_dict()) == names_of("pose")
    assert [field.name for field in fields(Expression)] == list(PARTS["expression"]["properties"])


def test_reserved_values_fit() -> None:
    face = {"box": [0, 0, 2, 2], "score": 1.0, "landmarks": [[0, 0, 0], [2, 2, 0]]}
    check(face | {"visibility": [0.0, 1.0], "sigma_px": [0.5, 3.0], "reliable": False}, "face")


def test_every_value_of_eyes_is_described() -> None:
    watch = EyeWatch()
    for number, opening in enumerate((0.5, 0.5, 0.0, 0.5, *[0.0] * 20)):
        check(watch.add(number / 25, opening, opening).to_dict(), "eyes")
    check(watch.add(2.0, float("nan"), float("nan")).to_dict(), "eyes")
    values = watch.summary().to_dict()
    check({"id": 1, **values}, "eye_summary")
    assert values["blinks"] and values["long_closures"]
    assert set(values) | {"id"} == names_of("eye_summary")
    assert set(values["blinks"][0]) == names_of("closure")
    assert set(EyeState._fields) == names_of("eyes")
    assert set(Closure._fields) | {"duration_s"} == names_of("closure")
    limits = PARTS["eye_report"]["properties"]["limits"]["properties"]
    assert {field.name for field in fields(EyeLimits)} | {"max_yaw_deg"} == set(limits)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (["width"], 0),
        (["width"], None),
        (["image"], 3),
        (["faces", 0, "score"], 1.5),
        (["faces", 0, "box"], [1, 2, 3]),
        (["faces", 0, "landmarks", 30], [1.0, 2.0]),
        (["faces", 0, "pose", "rotation"], [[1, 0, 0], [0, 1, 0]]),
        (["faces", 0, "expression", "smile"], "yes"),
        (["faces", 0, "visibility"], [1.5]),
        (["faces", 0, "reliable"], 1),
    ],
)
def test_wrong_records_are_refused(photo_record: Record, place: list[Any], wrong: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (extra: dev)")
    record = copy.deepcopy(photo_record)
    inner: Any = record
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = wrong
    with pytest.raises(jsonschema.ValidationError):
        check(record)


def test_what_is_not_known_is_allowed(photo_record: Record) -> None:
    """Later versions may add properties; only missing ones are wrong."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (extra: dev)")
    check(photo_record | {"new": 1})
    with pytest.raises(jsonschema.ValidationError):
        check({name: value for name, value in photo_record.items() if name != "faces"})
