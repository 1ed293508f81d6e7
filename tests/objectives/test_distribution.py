"""Losses that push the law of a representation to a target law: LeJEPA, kernel VICReg, SFRIK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.kernels import Gaussian, Linear
from kerneldep.objectives import (
    SFRIK,
    KernelVICReg,
    LeJEPA,
    Outputs,
    kernel_vicreg_terms,
    lejepa_terms,
    sfrik_terms,
    sigreg,
)
from kerneldep.objectives.kernel_vicreg import eigenvalues
from kerneldep.objectives.sfrik import rotation_invariant

from ..oracles import distribution
from ..populations import unit_views


def test_sigreg_is_a_sliced_mmd_to_a_gaussian(x64):
    rng = np.random.default_rng(0)
    views = rng.normal(size=(2, 12, 5)) * [0.3, 1.0, 1.5, 2.0, 0.0] + [0, 1, 0, -2, 0.5]
    slices = distribution.slices_of(jax.random.key(1), 5, 7)
    exact = distribution.sigreg_by_mmd(views, slices)

    def at(num_knots, limit):
        found = sigreg(jnp.asarray(views), num_slices=7, num_knots=num_knots, limit=limit, key=jax.random.key(1))
        return float(found)

    # The rule converges faster than any power of the step, and the integrand is below 4e^{−t²/2}.
    assert at(65, 8.0) == pytest.approx(exact, rel=1e-12)
    # As published: what is cut off is positive and less than 0.007B, the quadrature's own error is far less.
    assert 0 < exact - at(17, 3.0) < 0.007 * 12
    assert at(17, 3.0) == pytest.approx(at(129, 3.0), rel=1e-3)


def test_sigreg_of_gaussian_views_has_its_mean_whatever_the_batch():
    # B·E|φ_B − φ|² = 1 − φ², so that the mean is √(2π)(1 − 1/√3) less the tails; it would be of order B elsewhere.
    views = jax.random.normal(jax.random.key(0), (64, 40, 8))
    found = float(sigreg(views, num_slices=64, key=jax.random.key(1)))
    assert found == pytest.approx((2 * np.pi) ** 0.5 * (1 - 3**-0.5), rel=0.05)
    assert float(sigreg(2 * views, num_slices=64, key=jax.random.key(1))) > 2 * found


def test_lejepa_draws_slices_afresh_and_its_memory_does_not_hold_all_knots():
    views = jnp.asarray(unit_views(0, 2, 8, 4), jnp.float32)
    one, same, other = (float(lejepa_terms(views, key=jax.random.key(seed))[1]) for seed in (0, 0, 1))
    assert one == same != other

    def temporary(num_knots):
        def loss(views):
            return sigreg(views, num_knots=num_knots, num_slices=64, key=jax.random.key(0))

        compiled = jax.jit(jax.grad(loss)).lower(jnp.zeros((2, 256, 16))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    projected = 4 * 2 * 256 * 64
    assert temporary(65) < 10 * projected  # all knots at once are 64 times that, twice
    assert temporary(65) < temporary(9) + projected


def test_eigenvalues_of_a_symmetric_function_have_its_gradient_at_ties(x64):
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    tied = jnp.asarray(rotation @ np.diag([0.0, 0.0, 1.0, 1.0, 1.0, 2.0]) @ rotation.T)
    found = jax.grad(lambda a: (eigenvalues(a) ** 3).sum())(tied)
    np.testing.assert_allclose(found, 3 * tied @ tied, atol=1e-12)  # of tr A³
    roots = jax.grad(lambda a: jnp.sqrt(eigenvalues(a) + 0.25).sum())(tied)
    expected = rotation @ np.diag(0.5 / np.sqrt(np.array([0, 0, 1, 1, 1, 2]) + 0.25)) @ rotation.T
    np.testing.assert_allclose(roots, expected, atol=1e-12)


def test_kernel_vicreg_with_the_linear_kernel_sees_the_covariance(x64):
    # More images than dimensions: the eigenvalues are those of the covariance, and B − d zeros.
    views = np.random.default_rng(0).normal(size=(2, 9, 4))
    invariance, variance, covariance = kernel_vicreg_terms(jnp.asarray(views), Linear(), deviation=0.8)
    assert float(invariance) == pytest.approx(((views[0] - views[1]) ** 2).sum(1).mean(), rel=1e-12)
    hinges, squares = 0.0, 0.0
    for view in views:
        spectrum = np.linalg.eigvalsh(np.cov(view.T, bias=True))
        hinges += (np.maximum(0.8 - np.sqrt(spectrum + 1e-4), 0).sum() + 5 * (0.8 - 1e-2)) / 9
        lengths = ((view - view.mean(0)) ** 2).sum(1) / 9
        squares += (spectrum**2).sum() - (lengths**2).sum()
    assert float(variance) == pytest.approx(hinges, rel=1e-10)
    assert float(covariance) == pytest.approx(squares, rel=1e-10)


def test_kernel_vicreg_variance_is_least_for_a_flat_spectrum(x64):
    # Orthogonal codes under a sharp kernel: λ = 1/B, B − 1 times. Two codes: one λ = 1/2.
    def variance(codes, batch=8):
        views = jnp.broadcast_to(10 * jnp.eye(codes)[jnp.arange(batch) % codes], (2, batch, codes))
        return float(kernel_vicreg_terms(views, Gaussian(1.0), epsilon=1e-12)[1])

    for codes in (1, 2, 4, 8):
        expected = 2 * (1 - (codes - 1) / 8 * codes**-0.5)
        assert variance(codes) == pytest.approx(expected, abs=1e-5)
    assert variance(8) < variance(4) < variance(2) < variance(1)


@pytest.mark.parametrize("dim", [2, 3, 7, 128])
def test_legendre_polynomials_in_any_dimension(x64, dim):
    t = np.linspace(-1, 1, 9)
    for degree in range(1, 6):
        coefficients = (0.0,) * (degree - 1) + (1.0,)
        expected = [distribution.legendre(degree, dim, one) for one in t]
        np.testing.assert_allclose(rotation_invariant(jnp.asarray(t), dim, coefficients), expected, atol=1e-12)


def test_sfrik_of_a_spherical_design_is_zero_and_of_collapse_the_largest(x64):
    # The 2d unit vectors ±e_i are a design of strength 3: all polynomials of degree 3 have the mean of the sphere.
    design = np.concatenate([np.eye(5), -np.eye(5)])[None].repeat(2, 0)
    alignment, mmd = sfrik_terms(jnp.asarray(design))
    assert float(alignment) == 0
    assert float(mmd) == pytest.approx(0, abs=1e-12)
    assert float(sfrik_terms(jnp.asarray(design), (0.0, 0.0, 0.0, 1.0))[1]) > 0.1
    collapsed = jnp.broadcast_to(jnp.eye(5)[0], (2, 10, 5))
    assert float(sfrik_terms(collapsed)[1]) == pytest.approx(81, rel=1e-12)


def test_sfrik_of_order_one_is_linear_dependence(x64):
    views = unit_views(3, 2, 7, 4)
    loss = float(SFRIK(0.5, (1.0,))(Outputs(jnp.asarray(views)), None)[0])
    positive = np.mean([views[0, i] @ views[1, i] for i in range(7)])
    within = np.mean([(view.mean(0) ** 2).sum() for view in views])
    assert loss == pytest.approx(1 - (positive - within), rel=1e-12)
    second = float(sfrik_terms(jnp.asarray(views), (0.0, 1.0))[1])
    distances = [((view.T @ view / 7 - np.eye(4) / 4) ** 2).sum() for view in views]
    assert second == pytest.approx(4 / 3 * np.mean(distances), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeJEPA(1.5), "weight"),
        (lambda: LeJEPA(num_slices=0), "num_slices"),
        (lambda: LeJEPA(num_knots=1), "num_knots"),
        (lambda: LeJEPA(limit=0.0), "limit"),
        (lambda: LeJEPA()(Outputs(jnp.ones((2, 4, 3))), None), "key is missing"),
        (lambda: KernelVICReg(covariance=-1.0), "covariance"),
        (lambda: KernelVICReg(epsilon=0.0), "epsilon"),
        (lambda: SFRIK(-1.0), "weight"),
        (lambda: SFRIK(coefficients=(1.0, -1.0)), "coefficients"),
        (lambda: SFRIK(coefficients=()), "coefficients"),
        (lambda: SFRIK()(Outputs(jnp.ones((2, 4, 1))), None), "dimension 1"),
    ],
)
def test_bad_settings_are_named(make, message, unhooked):
    with pytest.raises(ValueError, match=message):
        make()
