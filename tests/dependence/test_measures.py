"""What every measure satisfies. One compilation a measure serves all of it: jit(vmap(value and gradient))."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .measures import MEASURES, MeasureCase

N, DIM, DRAWS, STEP = 12, 3, 4, 1e-3


def sample(seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Dependent data, multiples of 2⁻¹⁰: float32 holds them exactly also after a translation."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, DIM))
    y = np.sin(2 * x) + 0.3 * rng.normal(size=(N, DIM))
    return np.round(x * 2**10) / 2**10, np.round(y * 2**10) / 2**10


def variations(case: MeasureCase) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The data a measure is evaluated on, by name."""
    rng = np.random.default_rng(0)
    x, y = sample()
    order = rng.permutation(N)
    other = order if case.paired else rng.permutation(N)
    ties = x.copy()
    ties[3] = ties[2]
    tied = y.copy()
    tied[3] = tied[2]
    move = np.array([100.0, -7.0, 0.5])
    dx, dy = DIRECTION
    return {
        "data": (x, y),
        "reordered": (x[order], y[other]),
        "swapped": (y, x),
        "moved": (x + move, y + (move if case.translation == "both" else 0)),
        "constant": (np.full_like(x, 0.5), y),
        "both constant": (np.full_like(x, 0.5), np.full_like(y, 0.5)),
        "ties": (ties, tied),
        "equal": (x, x),
        **{f"step {k}": (x + k * STEP * dx, y + k * STEP * dy) for k in (-2, -1, 1, 2)},
        **{f"draw {seed}": tuple(np.random.default_rng(seed).normal(size=(2, N, DIM))) for seed in range(DRAWS)},
    }


DIRECTION = np.random.default_rng(9).normal(size=(2, N, DIM))


class Subject:
    """A measure with its values and gradients on all variations of the data."""

    def __init__(self, case: MeasureCase):
        self.case = case

    @functools.cached_property
    def results(self):
        data = variations(self.case)
        with jax.enable_x64(True):
            stacked = tuple(jnp.asarray(np.stack(part)) for part in zip(*data.values(), strict=True))
            one = jax.value_and_grad(self.case.function, argnums=(0, 1))
            evaluate = jax.jit(jax.vmap(one) if self.case.batched else lambda *at: jax.lax.map(lambda xy: one(*xy), at))
            values, gradients = jax.tree.map(np.asarray, evaluate(*stacked))
        return {name: (values[i], gradients[0][i], gradients[1][i]) for i, name in enumerate(data)}

    def value(self, name: str) -> float:
        return self.results[name][0]


@pytest.fixture(scope="module", params=MEASURES, ids=str)
def subject(request):
    return Subject(request.param)


def test_value_is_the_oracles(subject, x64):
    x, y = sample()
    value = subject.case.function(jnp.asarray(x), jnp.asarray(y))
    assert value.shape == ()
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, subject.case.reference(x, y), rtol=subject.case.rtol)
    np.testing.assert_allclose(subject.value("data"), value, rtol=subject.case.rtol)  # under jit and vmap


def test_float32_is_float64_rounded(subject):
    x, y = sample()
    value = subject.case.function(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    assert value.dtype == np.float32
    scale = abs(subject.value("equal")) + abs(subject.value("data"))
    np.testing.assert_allclose(value, subject.value("data"), rtol=0, atol=2e-5 * scale)


def test_order_does_not_matter(subject):
    same = np.isclose(subject.value("reordered"), subject.value("data"), rtol=1e-9)
    assert same == subject.case.exchangeable


def test_symmetry(subject):
    same = np.isclose(subject.value("swapped"), subject.value("data"), rtol=1e-9)
    assert same == subject.case.symmetric


def test_translation(subject):
    if subject.case.translation is not None:
        np.testing.assert_allclose(subject.value("moved"), subject.value("data"), rtol=1e-7)
    else:
        assert not np.isclose(subject.value("moved"), subject.value("data"), rtol=1e-7)


def test_constant_data(subject):
    for name in ("constant", "both constant"):
        value, *gradients = subject.results[name]
        assert np.isfinite(value)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        if subject.case.at_constant is not None:
            np.testing.assert_allclose(value, subject.case.at_constant, rtol=0, atol=1e-12)


def test_gradients(subject):
    """Against differences; finite at ties."""
    f = {k: subject.value(f"step {k}") for k in (-2, -1, 1, 2)}
    slope = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * STEP)
    gradient = np.stack(subject.results["data"][1:])
    assert np.abs(gradient).max() > 0
    scale = np.linalg.norm(gradient) * np.linalg.norm(DIRECTION)
    np.testing.assert_allclose((gradient * DIRECTION).sum(), slope, rtol=0, atol=1e-8 * scale)
    for name in ("ties", "equal"):
        assert np.isfinite(np.stack(subject.results[name][1:])).all()


def test_sign(subject):
    values = [subject.value(f"draw {seed}") for seed in range(DRAWS)] + [subject.value("data")]
    if subject.case.nonnegative:
        assert min(values) >= 0
    assert len(set(values)) == len(values)
