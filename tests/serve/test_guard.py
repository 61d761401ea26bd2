"""Who may ask."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from jvcr.serve.settings import check_reach, is_loopback, named_weights

NO_BODY: dict[str, Any] = {"content": b"", "headers": {"Content-Type": "image/png"}}


@pytest.mark.parametrize("host", ["localhost:8468", "127.0.0.1", "[::1]:8468", "LOCALHOST"])
def test_names_of_this_machine_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["attacker.example", "localhost.attacker.example:8468", "127.0.0.1@attacker.example", "[", ""]
)
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    reply = client.get("/v1/info", headers={"Host": host})
    assert reply.status_code == 421
    assert "--allow-host" in reply.json()["error"]


def test_named_hosts_are_answered(make_client: Any) -> None:
    client = make_client(hosts=("Faces.example",))
    assert client.get("/healthz", headers={"Host": "faces.EXAMPLE:80"}).status_code == 200
    everywhere = make_client(host="0.0.0.0", token="t")
    assert everywhere.get("/healthz", headers={"Host": "any.example"}).status_code == 200


def test_other_web_pages_may_not_ask(client: TestClient, make_client: Any) -> None:
    for origin in ("http://attacker.example", "null", "http://localhost:9999"):
        reply = client.post("/v1/faces", content=b"x", headers={"Content-Type": "image/png", "Origin": origin})
        assert (reply.status_code, "--cors" in reply.json()["error"]) == (403, True)
        assert "access-control-allow-origin" not in reply.headers
    own = client.get("/healthz", headers={"Origin": "http://localhost:8468"})
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers
    named = make_client(cors=("https://friend.example",))
    reply = named.get("/healthz", headers={"Origin": "https://friend.example"})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "https://friend.example")
    asked = named.options(
        "/v1/faces",
        headers={
            "Origin": "https://friend.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert asked.status_code == 200
    assert named.get("/healthz", headers={"Origin": "https://other.example"}).status_code == 403


@pytest.mark.parametrize(
    "given", [None, "Bearer ", "Bearer secre", "Bearer secret2", "secret", "bearer secret", "Bearer é"]
)
def test_the_token_is_needed(make_client: Any, given: str | None) -> None:
    client = make_client(token="secret")
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    for path in ("/v1/faces", "/v1/faces/draw", "/v1/faces/view", "/v1/export", "/v1/"):
        reply = client.post(path, content=b"x", headers=headers | {"Content-Type": "image/png"})
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/healthz", headers=headers).status_code == 200
    assert client.get("/", headers=headers).status_code == 200
    assert client.get("/v1/info", headers=headers).json()["token_needed"] is True


def test_with_the_token_all_is_answered(make_client: Any, no_face: bytes) -> None:
    client = make_client(token="secret")
    headers = {"Authorization": "Bearer secret", "Content-Type": "image/png"}
    assert client.post("/v1/faces", content=no_face, headers=headers).status_code == 200
    assert client.get("/metrics", headers=headers).status_code == 200


def test_addresses_that_others_reach_need_a_token() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert is_loopback(host)
        check_reach(host, "", False)
    for host in ("0.0.0.0", "::", "192.168.1.7", "faces.example", ""):
        with pytest.raises(ValueError, match="set a token"):
            check_reach(host, "", False)
        check_reach(host, "token", False)
        check_reach(host, "", True)


def test_weights_are_named_without_their_path() -> None:
    assert named_weights(["small", "/home/me/mine.onnx"]) == {"small": "small", "mine": "/home/me/mine.onnx"}
    with pytest.raises(ValueError, match="'mine' is taken by a/mine"):
        named_weights(["a/mine.onnx", "b/mine.onnx"])
