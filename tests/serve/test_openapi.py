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
    max_examples=6,
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


def statuses_of(operation: Any) -> set[int]:
    """Send requests that are made from the description of one endpoint, and check each reply against it."""
    statuses = set()

    @SETTINGS
    @hypothesis.given(case=operation.as_strategy())
    def keeps_to_it(case: Any) -> None:
        statuses.add(case.call_and_validate(checks=CHECKED).status_code)

    keeps_to_it()
    return statuses


def test_the_description_is_kept(api: Any) -> None:
    operations = [result.ok() for result in api.get_all_operations()]
    statuses = {operation.path: statuses_of(operation) for operation in operations}
    assert statuses.keys() >= {"/v1/faces", "/v1/faces/draw", "/v1/faces/view", "/v1/export", "/metrics", "/v1/info"}
    # The requests get further than the checks of parameters.
    assert {200, 415} & statuses["/v1/faces"]


def test_the_description_has_examples_and_no_other_hosts(api: Any) -> None:
    description = api.raw_schema
    body = description["paths"]["/v1/export"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["example"]["faces"][0]["landmarks"]) == 68
    assert description["components"]["schemas"]["FacesReply"]["examples"]
    assert "http://" not in str(description)
    assert "https://" not in str(description)
