"""Results as files of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jvcr import Face
from jvcr.io.exports import FORMATS, FormatName, PhotoFaces, write_export
from jvcr.serve.replies import EXAMPLE

JSON = {"Content-Type": "application/json"}


def post(client: TestClient, record: Any, form: str) -> Any:
    return client.post("/v1/export", content=json.dumps(record), headers=JSON, params={"format": form})


@pytest.mark.parametrize("form", [name for name in FormatName if name != FormatName.NPZ])
def test_files_are_those_of_convert(client: TestClient, tmp_path: Path, form: FormatName) -> None:
    faces = [Face.from_dict(face) for face in EXAMPLE["faces"]]
    write_export(tmp_path / "expected", [PhotoFaces("my photo.jpg", (512, 512), faces)], form)
    reply = post(client, {**EXAMPLE, "image": "my photo.jpg"}, form)
    assert reply.status_code == 200, reply.text
    assert reply.content == (tmp_path / "expected").read_bytes()
    assert reply.headers["content-disposition"] == f'attachment; filename="my_photo{FORMATS[form].ending}"'


def test_a_name_cannot_break_the_header(client: TestClient) -> None:
    name = '../x"\r\nSet-Cookie: a=b; é.png'
    reply = post(client, {**EXAMPLE, "image": name}, "pts")
    assert reply.headers["content-disposition"] == 'attachment; filename="x___Set-Cookie__a_b___.pts"'
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("record", "form", "status", "message"),
    [
        ({**EXAMPLE, "faces": []}, "pts", 422, "faces: there is none; a .pts file needs one"),
        ({"faces": [{"box": [0, 0, 1, 1], "score": 1}]}, "obj", 422, "no result of /v1/faces: KeyError 'landmarks'"),
        ({**EXAMPLE, "faces": EXAMPLE["faces"] * 65}, "obj", 422, "faces: 65; the limit is 64"),
        ({"faces": 3}, "obj", 422, "no result of /v1/faces"),
        ([1], "obj", 422, "no result of /v1/faces"),
        (EXAMPLE, "exe", 422, "format: Input should be"),
        ({**EXAMPLE, "faces": [{**EXAMPLE["faces"][0], "markup": "unknown"}]}, "obj", 422, "'unknown' is not built in"),
        ({"faces": [{**EXAMPLE["faces"][0], "landmarks": [[1e400] * 3] * 68}]}, "obj", 422, "not finite"),
    ],
)
def test_what_is_no_result_is_refused(client: TestClient, record: Any, form: str, status: int, message: str) -> None:
    reply = post(client, record, form)
    assert reply.status_code == status
    assert message in reply.json()["error"]


def test_only_json_is_taken(client: TestClient) -> None:
    wrong = client.post("/v1/export?format=obj", content=b"{}", headers={"Content-Type": "text/plain"})
    damaged = client.post("/v1/export?format=obj", content=b"[" * 100_000, headers=JSON)
    assert (wrong.status_code, damaged.status_code) == (415, 400)
    assert damaged.json() == {"error": "the body is not JSON; expected a result of /v1/faces"}
