"""Half-pixel arithmetic is only allowed in ``jvcr.frames``. This test searches the sources for it.

Found are: half a unit added or subtracted, under any spelling (``x + 0.5``, ``size / 2 - 0.5``, ``x - 1 / 2``,
``x += 0.5``, ``np.subtract(x, 0.5)``, a named constant, an array of halves); a literal -0.5, where an image begins;
and ``(size - 1) / 2``, the middle of an image. Multiplying by a half is no half pixel: ``0.5 * weight`` passes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FOLDERS = ("src/jvcr", "examples", "recipes", "benchmarks")

HOME = "src/jvcr/frames.py"

ELSEWHERE = ("recipes/peers/",)
"""Run in environments of their own, where ``jvcr`` is not installed."""

ALLOWED = {
    # The unit frame's middle: 0.5 of the crop, to which an offset is added.
    "src/jvcr/model/inference.py": {"0.5 + offsets.view(-1, self.n_points, 3)"},
    "src/jvcr/model/regressor.py": {"0.5 + offsets.view(-1, self.n_points, 3)"},
    "src/jvcr/paper/claims/networks.py": {
        "0.5 + self.depth(cells).float()",
        "0.5 + self.head(features[-1]).float().view(-1, self.config.n_points, 3)",
    },
    "src/jvcr/data/doctor/check.py": {"unit[outside] - 0.5"},
    "src/jvcr/draw/volume.py": {
        "np.asarray(points_unit, np.float64) - 0.5",
        "(np.asarray(points_unit, np.float64) - 0.5) @ rotation.T / extent + 0.5",
    },
    "recipes/experiments/p_alone.py": {
        "0.5 + rng.normal(0, 0.045, 2)",
        "head * np.exp(rng.normal(0, 0.12)) + [*0.5 + rng.normal(0, 0.045, 2), 0.5]",
    },
    # A parabola's top lies at most half a voxel beside the highest voxel.
    "recipes/experiments/when_p_reads.py": {"-0.5"},
    # Half a second.
    "src/jvcr/evaluate/motion.py": {"times_s[0] + 0.5"},
    # Eye distances of the mean head.
    "src/jvcr/data/doctor/shapes.py": {"-0.5"},
    # Contrast is changed about mid-grey.
    "src/jvcr/train/vary.py": {
        "(image / 255).pow(gamma) - 0.5",
        "((image / 255).pow(gamma) - 0.5) * contrast + 0.5",
        # A blur's least width.
        "0.5 + 1.5 * strength[blurred, 1]",
    },
    # Whole steps of a mesh, with the end of the range included.
    "src/jvcr/data/turn/relief.py": {"rim[1, 0] + 0.5", "rim[1, 1] + 0.5"},
    # Cells of a Matplotlib page.
    "src/jvcr/paper/figures.py": {
        "top - 0.5",
        "left + 0.5",
        "lefts[0] + 0.5",
        "lefts[1] + 0.5",
        "top - row * step - 0.5",
    },
}
"""Halves that are added or subtracted and are no half pixels: file → expressions, as ``ast.unparse`` writes them."""

_ADDERS = {"add", "add_", "sub", "sub_", "subtract"}


def number(node: ast.AST, names: dict[str, float]) -> float | None:
    """The value of a constant expression; ``names`` are the module's constants."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return names.get(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = number(operand, names)
            return None if value is None else -value
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            a, b = number(left, names), number(right, names)
            return a / b if a is not None and b else None
        # np.float32(0.5), points.dtype.type(0.5)
        case ast.Call(func=ast.Attribute(attr=attr), args=[only]) if attr.startswith("float") or attr == "type":
            return number(only, names)
    return None


def is_half(node: ast.AST, names: dict[str, float]) -> bool:
    """Half a unit, or an array that is written out and holds one."""
    value = number(node, names)
    if value is not None:
        return abs(value) == 0.5
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return any(is_half(element, names) for element in elements)
        case ast.Call(args=[first, *_]) if isinstance(first, ast.Tuple | ast.List):
            return is_half(first, names)
    return False


def is_middle(node: ast.AST, names: dict[str, float]) -> bool:
    """``(size - 1) / 2``, ``(size - 1) // 2``, ``(size - 1) * 0.5``."""

    def less_one(part: ast.AST) -> bool:
        match part:
            case ast.BinOp(op=ast.Sub(), right=right, left=left):
                return number(right, names) == 1 and number(left, names) is None
        return False

    match node:
        case ast.BinOp(left=left, op=ast.Div() | ast.FloorDiv(), right=right):
            return less_one(left) and number(right, names) == 2
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return (less_one(left) and is_half(right, names)) or (less_one(right) and is_half(left, names))
    return False


def half_pixels(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every half-pixel expression."""
    tree = ast.parse(source)
    names = {
        target.id: value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and (value := number(node.value, {})) is not None
    }
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
                found = is_half(left, names) or is_half(right, names)
            case ast.AugAssign(op=ast.Add() | ast.Sub(), value=value):
                found = is_half(value, names)
            case ast.Call(func=ast.Attribute(attr=attr), args=arguments) if attr in _ADDERS:
                found = any(is_half(argument, names) for argument in arguments)
            case ast.UnaryOp(op=ast.USub()):
                found = number(node, names) == -0.5
            case _:
                found = is_middle(node, names)
        if found:
            yield node.lineno, ast.unparse(node)


def sources() -> dict[str, str]:
    """File → text, of every Python file that must go through ``jvcr.frames``."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    names = {path.relative_to(ROOT).as_posix(): path for path in files}
    return {name: path.read_text(encoding="utf-8") for name, path in names.items() if not name.startswith(ELSEWHERE)}


def test_half_pixels_are_in_frames_alone() -> None:
    found = [
        f"{name}:{line}: {text}"
        for name, source in sources().items()
        if name != HOME
        for line, text in half_pixels(source)
        if text not in ALLOWED.get(name, ())
    ]
    listing = "\n".join(found)
    assert not found, (
        f"half-pixel arithmetic outside {HOME}; use its functions, or add to ALLOWED and say why:\n{listing}"
    )


def test_what_is_allowed_is_there() -> None:
    """Exceptions that are no longer needed must be removed."""
    texts = sources()
    for name, allowed in ALLOWED.items():
        found = {text for _, text in half_pixels(texts.get(name, ""))}
        assert allowed <= found, f"{name}: {sorted(allowed - found)} is gone; take it out of ALLOWED"


def test_frames_itself_would_be_found() -> None:
    assert len(list(half_pixels((ROOT / HOME).read_text(encoding="utf-8")))) >= 6


@pytest.mark.parametrize(
    "code",
    [
        "x + 0.5",
        "0.5 + x",
        "(x - 0.5) * 2",
        "size / 2 - 0.5",
        "x - 1 / 2",
        "x + -0.5",
        "x > -0.5",
        "Box(-0.5, 0, 1, 1)",
        "x += 0.5",
        "x -= np.float32(0.5)",
        "x[..., :2] += 0.5",
        "points - points.dtype.type(0.5)",
        "np.subtract(x, 0.5)",
        "points.add_(0.5)",
        "points + np.array([0.5, 0.5, 0])",
        "points - (0.5, 0.5)",
        "_HALF = 0.5\nx = y + _HALF",
        "half = np.float32(0.5)\nx = y - half",
        "(width - 1) / 2",
        "(len(image) - 1) // 2",
        "0.5 * (width - 1)",
    ],
)
def test_half_pixels_are_found(code: str) -> None:
    assert list(half_pixels(code))


@pytest.mark.parametrize(
    "code",
    [
        "0.5 * weight",
        "weight * 0.5",
        "(a + b) / 2",
        "(1 - level) / 2",
        "smooth: float = 0.5",
        "find(word, cutoff=0.5)",
        "score < 0.5",
        "x + 1.5",
        "size // 2",
        "_SHARE = 0.5\nx = y * _SHARE",
        '"""(x + 0.5)"""',
    ],
)
def test_other_halves_are_not(code: str) -> None:
    assert not list(half_pixels(code))
