"""The precision that a run takes by itself."""

import pytest

torch = pytest.importorskip("torch")
from jvcr.train.loop import Hardware  # noqa: E402
from jvcr.train.precision import computes_bf16, resolved  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx2": True, "avx512_f": False}, False),
        # AVX-512 alone: bfloat16 is emulated.
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_auto_takes_bf16_only_where_the_cpu_computes_in_it(
    capabilities: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert computes_bf16(CPU) is native
    assert resolved("auto", CPU) == ("bf16-mixed" if native else "32-true")
    assert resolved("bf16-mixed", CPU) == "bf16-mixed"
    assert resolved("32-true", CPU) == "32-true"


def test_a_pytorch_that_cannot_tell_trains_in_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolved("auto", CPU) == "32-true"


def test_the_device_is_the_one_that_is_asked_for() -> None:
    assert Hardware("cpu").device().type == "cpu"
    assert Hardware("gpu").device().type == "cuda"
