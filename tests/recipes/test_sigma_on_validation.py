"""``recipes/sigma_on_validation.py`` on made-up faces, for which the right correction is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.random import Generator

from jvcr.runtime.landmark_confidence import LandmarkConfidence, input_size

pytest.importorskip("torch")

N, FACES = 68, 400


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    file = Path(__file__).parents[2] / "recipes" / "sigma_on_validation.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rng() -> Generator:
    return np.random.default_rng(0)


def network(rng: Generator) -> LandmarkConfidence:
    """One whose σ is about 2 % of the diagonal and differs between faces."""
    inputs, hidden = input_size(N), 8
    scale = np.stack([rng.normal(0, 0.1, inputs), np.full(inputs, 1.5)])
    first = rng.normal(0, 1 / np.sqrt(inputs), (hidden, inputs + 1))
    second = rng.normal(0, 0.1, (2 * N, hidden + 1))
    second[N:, -1] = np.log(0.02)
    return LandmarkConfidence(*(values.astype(np.float32) for values in (scale, first, second)))


def looks(recipe: ModuleType, rng: Generator) -> object:
    points = rng.uniform(0, 1, (FACES, N, 3)).astype(np.float32) * rng.uniform(0.5, 1.2, (FACES, 1, 1))
    heights = rng.uniform(0.05, 0.9, (FACES, N)) * rng.uniform(0.2, 1, (FACES, 1))
    return recipe.Looks(np.full((FACES, N, 2), np.nan), points.astype(np.float32), heights.astype(np.float32))


def test_the_stored_network_follows_the_formula(recipe: ModuleType, rng: Generator) -> None:
    confidence, seen = network(rng), looks(recipe, rng)
    others, jaw, factors = 0.1, -0.2, np.array([0.8, -0.3, -0.5, -1.2])
    better = recipe._packed(confidence, np.array([others, jaw, *factors]))
    log_sigma = np.log(seen.sigma(confidence))
    diagonals = np.linalg.norm(np.ptp(seen.points_unit[..., :2], axis=1), axis=1)
    of_face = (
        factors[1] * log_sigma.mean(axis=1)
        + factors[2] * np.log(seen.heights).mean(axis=1)
        + factors[3] * np.log(diagonals)
    )
    expected = np.exp(np.where(np.arange(N) < 17, jaw, others) + factors[0] * log_sigma + of_face[:, None]).clip(
        1e-3, 1
    )
    assert seen.sigma(better) == pytest.approx(expected, rel=1e-3)
    one = seen.points_unit[0], seen.heights[0]
    assert better(*one).visibility == pytest.approx(confidence(*one).visibility)
    stored = LandmarkConfidence.from_dict(better.to_dict())
    assert stored(*one).sigma == pytest.approx(better(*one).sigma, rel=0.02)


def test_the_right_parameters_are_found(recipe: ModuleType, rng: Generator) -> None:
    confidence, seen = network(rng), looks(recipe, rng)
    true = np.array([0.2, 0.1, 0.7, 0.2, -0.4, -0.5])
    sigma = seen.sigma(recipe._packed(confidence, true))
    seen.errors = sigma[..., None] * rng.standard_t(recipe.DEGREES_OF_FREEDOM, (FACES, N, 2))
    seen.errors[:, 5] = np.nan  # a landmark without truth
    found = recipe._fitted(confidence, [seen])
    again = seen.sigma(recipe._packed(confidence, found))
    assert again == pytest.approx(sigma, rel=0.1)
    # The mean over the face hardly varies here, so its factor and the constants cannot be told apart.
    assert found[[2, 4, 5]] == pytest.approx(true[[2, 4, 5]], abs=0.1)


def test_two_thirds_of_the_errors_are_within_sigma(recipe: ModuleType, rng: Generator) -> None:
    confidence, marked, exact = network(rng), looks(recipe, rng), looks(recipe, rng)
    marked.errors = rng.normal(0, 0.03, (FACES, N, 2))
    marked.errors[:, recipe.JAW] = np.nan
    exact.errors = rng.normal(0, 0.01, (FACES, N, 2))
    scaled = recipe._scaled(confidence, marked, exact)
    of_hand, of_labels = (
        (np.abs(one.errors) < one.sigma(scaled)[..., None])[:, ~recipe.JAW].mean() for one in (marked, exact)
    )
    assert 2 / 3 * of_hand + 1 / 3 * of_labels == pytest.approx(0.683, abs=0.01)
    assert of_labels > 0.9 > of_hand
    jaw, others = (
        (np.abs(exact.errors) < exact.sigma(scaled)[..., None])[:, members].mean()
        for members in (recipe.JAW, ~recipe.JAW)
    )
    assert jaw == pytest.approx(others, abs=0.01)
