"""The server keeps what its own description promises, for requests that are made from it."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (extra dev)")

from hypothesis import strategies as st  # noqa: E402
from schemathesis import checks  # noqa: E402

CHECKED = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
SETTINGS = hypothesis.settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


@pytest.fixture(scope="module")
def api(make_client: Any, no_face: bytes) -> Any:
    """The description, with images for bodies: random bytes are never one."""
    images = st.sampled_from([no_face, no_face[:60], b""]) | st.binary(max_size=50)
    for kind in ("image/jpeg", "image/png", "image/webp", "application/octet-stream"):
        schemathesis.openapi.media_type(kind, images)
    return schemathesis.openapi.from_asgi("/openapi.json", make_client(hosts=("testserver",)).app)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@SETTINGS
def test_the_description_is_kept(case: Any) -> None:
    case.call_and_validate(checks=CHECKED)


def test_the_description_has_examples_and_no_other_hosts(api: Any) -> None:
    description = api.raw_schema
    body = description["paths"]["/v1/export"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["example"]["faces"][0]["landmarks"]) == 68
    assert description["components"]["schemas"]["FacesReply"]["examples"]
    assert "http://" not in str(description)
    assert "https://" not in str(description)
