"""What the endpoints that take an image answer."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient

from jvcr import Landmarker
from jvcr.images import decode_image
from jvcr.io.records import photo_record
from jvcr.serve.replies import EXAMPLE, FacesReply

PNG = {"Content-Type": "image/png"}
BOX = [57.0, 47.0, 154.0, 137.0]
FAST = {"refine": "0", "mirror": "0"}


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(threads=1)


def record_of(reply: Any) -> dict[str, Any]:
    """The reply without what ``jvcr predict`` does not write."""
    assert reply.status_code == 200, reply.text
    values = reply.json()
    assert values.pop("weights") == "small"
    assert values.pop("ms") > 0
    return values


def test_a_reply_is_the_record_of_predict(client: TestClient, face: bytes, landmarker: Landmarker) -> None:
    image = decode_image(face, "face")
    expected = photo_record("photo", image, landmarker.predict(image))
    assert record_of(client.post("/v1/faces", content=face, headers=PNG)) == json.loads(json.dumps(expected))
    assert len(expected["faces"]) == 1


def test_boxes_and_options_are_those_of_predict(client: TestClient, face: bytes) -> None:
    image = decode_image(face, "face")
    faces = Landmarker(threads=1, refine=False, mirror=False).predict(image, [BOX, BOX])
    options = FAST | {"boxes": json.dumps([BOX, BOX]), "name": "a/b.png"}
    reply = client.post("/v1/faces", content=face, headers=PNG, params=options)
    assert record_of(reply) == json.loads(json.dumps(photo_record("a/b.png", image, faces)))


def test_the_size_for_detection_is_that_of_predict(client: TestClient, face: bytes) -> None:
    """The workers share one detector among all sizes."""
    image = decode_image(face, "face")
    faces = Landmarker(threads=1, refine=False, mirror=False, detect_size=96).predict(image)
    reply = client.post("/v1/faces", content=face, headers=PNG, params=FAST | {"detect_size": "96"})
    other = client.post("/v1/faces", content=face, headers=PNG, params=FAST)
    assert record_of(reply) == json.loads(json.dumps(photo_record("photo", image, faces)))
    assert reply.json()["faces"][0]["landmarks"] != other.json()["faces"][0]["landmarks"]


def test_no_face_is_a_result(client: TestClient, no_face: bytes) -> None:
    assert record_of(client.post("/v1/faces", content=no_face, headers=PNG)) == {
        "image": "photo",
        "width": 60,
        "height": 40,
        "faces": [],
    }


def test_min_score_drops_faces(client: TestClient, face: bytes) -> None:
    assert record_of(client.post("/v1/faces", content=face, headers=PNG, params={"min_score": 1}))["faces"] == []


def test_a_form_is_the_same_as_a_raw_body(client: TestClient, face: bytes) -> None:
    options = FAST | {"boxes": json.dumps([BOX])}
    raw = record_of(client.post("/v1/faces", content=face, headers=PNG, params=options | {"name": "x"}))
    form = client.post("/v1/faces", files={"image": ("secret/name.png", face)}, data=options, params={"name": "x"})
    assert record_of(form) == raw


def test_voxels_are_the_strongest_and_lie_on_the_face(client: TestClient, face: bytes) -> None:
    options = FAST | {"boxes": json.dumps([BOX]), "volume": "1", "voxels": "300"}
    (found,) = client.post("/v1/faces", content=face, headers=PNG, params=options).json()["faces"]
    volume, landmarks = found["volume"], np.array(found["landmarks"])
    points = np.array(volume["points"])
    assert volume["shape"] == [32, 64, 64]
    assert points.shape == (300, 4)
    assert (np.diff(points[:, 3]) <= 0).all()
    assert points[-1, 3] > volume["threshold"] == 0.15
    # The volume has a peak at each landmark, so its strongest voxels are near landmarks.
    distance = np.linalg.norm(points[:, None, :3] - landmarks[None], axis=2).min(axis=1)
    assert np.median(distance) < 4


def test_a_picture_has_the_landmarks_on_it(client: TestClient, face: bytes) -> None:
    options = FAST | {"boxes": json.dumps([BOX])}
    png = client.post("/v1/faces/draw", content=face, headers=PNG, params=options | {"format": "png"})
    jpeg = client.post("/v1/faces/draw", content=face, headers=PNG, params=options)
    empty = client.post("/v1/faces/draw", content=face, headers=PNG, params={"boxes": "[]", "format": "png"})
    assert (png.headers["content-type"], jpeg.headers["content-type"]) == ("image/png", "image/jpeg")
    drawn, other = (np.asarray(PIL.Image.open(io.BytesIO(reply.content))) for reply in (png, jpeg))
    assert drawn.shape == other.shape == (600, 630, 3)
    assert np.asarray(PIL.Image.open(io.BytesIO(empty.content))).shape == (200, 210, 3)
    # A JPEG of the same picture.
    assert np.abs(drawn.astype(int) - other).mean() < 6


def test_the_3d_page_is_isolated(client: TestClient, face: bytes) -> None:
    options = FAST | {"boxes": json.dumps([BOX]), "name": "<script>alert(1)</script>"}
    reply = client.post("/v1/faces/view", content=face, headers=PNG, params=options)
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    assert "face 1 of 1" in reply.text
    assert "predicted volume" in reply.text
    assert "<script>alert" not in reply.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boxes": "[[1, 2, 3]]"}, "boxes: no list of boxes; expected JSON [[x0, y0, x1, y1], …]"),
        ({"boxes": "nonsense"}, "boxes: not JSON"),
        ({"boxes": '[[1, 2, "3", 4]]'}, "boxes: a value is not a number"),
        ({"boxes": json.dumps([BOX] * 65)}, "boxes: 65 boxes; the limit is 64"),
        ({"boxes": "[[500, 500, 600, 600]]"}, "boxes: box 0: [500.0, 500.0, 600.0, 600.0] lies entirely outside"),
        ({"boxes": "[" * 3_000}, "boxes: not JSON"),
        ({"min_score": "nan"}, "min_score: "),
        ({"min_score": "2"}, "min_score: Input should be less than or equal to 1"),
        ({"detect_size": "100000"}, "detect_size: Input should be less than or equal to 2048"),
        ({"voxels": "20001"}, "voxels: Input should be less than or equal to 20000"),
        ({"min_scor": "0.5"}, "min_scor: Extra inputs are not permitted"),
        ({"weights": "/etc/passwd"}, "weights: '/etc/passwd' are not on this server; it has small"),
        ({"name": "x" * 201}, "name: String should have at most 200 characters"),
        ({"refine": "perhaps"}, "refine: "),
    ],
)
@pytest.mark.parametrize("as_form", [False, True])
def test_wrong_parameters_are_named(
    client: TestClient, no_face: bytes, options: dict[str, str], message: str, as_form: bool
) -> None:
    if as_form:
        reply = client.post("/v1/faces", files={"image": ("a.png", no_face)}, data=options)
    else:
        reply = client.post("/v1/faces", content=no_face, headers=PNG, params=options)
    assert reply.status_code == 422
    assert message in reply.json()["error"]


def test_files_and_urls_of_the_server_cannot_be_named(client: TestClient, no_face: bytes) -> None:
    for name in ("path", "url", "image", "photo", "out"):
        reply = client.post("/v1/faces", content=no_face, headers=PNG, params={name: "/etc/passwd"})
        assert (reply.status_code, name in reply.json()["error"]) == (422, True)
    reply = client.post("/v1/faces", content=b"/etc/passwd", headers={"Content-Type": "application/octet-stream"})
    assert reply.status_code == 415


def test_the_example_of_the_description_is_a_reply() -> None:
    reply = FacesReply.model_validate(EXAMPLE)
    assert len(reply.faces[0].landmarks) == 68
    assert reply.model_dump(exclude_none=True) == EXAMPLE
