"""Health, numbers, information, and the web page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import jvcr
from jvcr.serve.headers import PAGE_POLICY
from jvcr.serve.settings import checked_browser


def test_health_and_readiness(client: TestClient, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    monkeypatch.setattr(type(pool), "ready", False)
    reply = client.get("/readyz")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")


def test_information(client: TestClient) -> None:
    about = client.get("/v1/info").json()
    assert about["version"] == jvcr.__version__
    assert about["weights"] == [
        {"name": "small", "markup": "ibug-68", "points": 68, "licence": "research only (LICENSE-WEIGHTS)"}
    ]
    assert about["licence"]["code"] == "MIT"
    assert about["limits"]["body_bytes"] == 2_000_000
    assert {"python", "numpy", "onnxruntime"} <= about["versions"].keys()


def test_metrics_count_without_naming_anybody(make_client: Any, no_face: bytes) -> None:
    client = make_client()
    png = {"Content-Type": "image/png"}
    for _ in range(2):
        client.post("/v1/faces", content=no_face, headers=png, params={"name": "holiday"})
    client.post("/v1/faces", content=b"x", headers=png)
    client.get("/secret-path")
    text = client.get("/metrics").text
    assert 'jvcr_requests_total{endpoint="/v1/faces",status="200"} 2.0' in text
    assert 'jvcr_requests_total{endpoint="/v1/faces",status="415"} 1.0' in text
    assert 'jvcr_requests_total{endpoint="other",status="404"} 1.0' in text
    assert "jvcr_requests_waiting 0.0" in text
    assert "jvcr_bodies_bytes 0.0" in text
    assert "holiday" not in text
    assert "secret-path" not in text


def test_the_page_and_its_files(client: TestClient) -> None:
    index, script = client.get("/"), client.get("/page/page.js")
    assert "<title>page</title>" in index.text
    assert script.text == "console.log(1)"
    assert "javascript" in script.headers["content-type"]
    for reply in (index, script, client.get("/healthz"), client.get("/nothing")):
        assert reply.headers["content-security-policy"] == PAGE_POLICY
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_the_page_for_the_browser_may_compile_webassembly_in_threads(
    make_client: Any, client: TestClient, tmp_path: Path
) -> None:
    (tmp_path / "jvcr").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>browser</title>")
    (tmp_path / "jvcr" / "manifest.json").write_text("{}")
    hosting = make_client(browser=checked_browser(tmp_path), token="secret")
    index = hosting.get("/browser/")
    assert "<title>browser</title>" in index.text
    assert hosting.get("/browser").url.path == "/browser/"
    for reply in (index, hosting.get("/browser/jvcr/manifest.json")):
        assert reply.status_code == 200
        assert "'wasm-unsafe-eval'" in reply.headers["content-security-policy"]
        assert reply.headers["cross-origin-opener-policy"] == "same-origin"
        assert reply.headers["cross-origin-embedder-policy"] == "require-corp"
    assert hosting.get("/").headers["content-security-policy"] == PAGE_POLICY
    assert client.get("/browser/").status_code == 404
    with pytest.raises(ValueError, match=r"--browser .*npm run build"):
        checked_browser(tmp_path / "jvcr")


@pytest.mark.parametrize(
    "path", ["/page/../secret.txt", "/page/%2e%2e/secret.txt", "/page/..%2fsecret.txt", "/page//etc/passwd"]
)
def test_no_other_files_are_served(client: TestClient, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 404
    assert "secret" not in reply.text.replace(path, "").replace("/secret.txt", "")


def test_nothing_is_loaded_from_other_hosts(client: TestClient) -> None:
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").status_code == 200
