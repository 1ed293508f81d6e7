"""SSL-HSIC: maximise dependence on identity, penalise self-dependence (Li et al. 2021)."""

from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, Scalar

from .. import _check
from ..dependence.exact import biased_statistic
from ..dependence.identity import Estimate, IdentitySums, check_estimate, feature_identity_sums, identity_hsic, same_sum
from ..dependence.tiled import gram_sums, side
from ..features import random_fourier
from ..kernels import AbstractKernel, InverseMultiquadric
from .base import AbstractObjective, Outputs, Target, nothing_trainable, unit_views


@eqx.filter_jit
def ssl_hsic_terms(
    views: Float[Array, "M B d"],
    kernel: AbstractKernel,
    *,
    estimate: Estimate = "unbiased",
    num_images: int | None = None,
    num_features: int | None = None,
    quasi: bool = True,
    key: Key[Array, ""] | None = None,
) -> tuple[Scalar, Scalar]:
    """Dep and HSIC(Z, Z), the two terms of SSL-HSIC, from one pass over the views.

    Args:
        views: representations [M, B, d]; not normalised here.
        kernel: k.
        estimate: of dep, see `kerneldep.dependence.positive_dependence`.
        num_images: N of the unbiased estimate; None for N → ∞.
        num_features: None for the exact Gram matrices, (BM)²d; else D random Fourier features, BMDd, with two
            independent draws of D/2, by which HSIC(Z, Z) = ‖Φ₁ᵀHΦ₂‖²_F/n² is unbiased for the V-statistic. Memory BMD.
        quasi: frequencies of a draw from scrambled Sobol' points (see `random_fourier`): each has the same law, so that
            both terms stay unbiased, and they vary less, most for kernels whose frequencies have a random scale, as the
            inverse multiquadric's. Else independent ones, as in the paper.
        key: needed with `num_features`.

    Returns:
        dep and the V-statistic HSIC(Z, Z) = tr(KHKH)/n² over all n = BM views.
    """
    num_views, batch = views.shape[:2]
    check_estimate(estimate, num_images, batch)
    samples = views.reshape(-1, views.shape[-1])
    if num_features is None:
        one = side(kernel, samples)
        gram = gram_sums((one,), ((0, 0),))
        sums = IdentitySums(same_sum(one, num_views), gram.diagonals[0].sum(), gram.rows[0].sum())
        return sums.dependence(num_views, batch, estimate, num_images), biased_statistic(gram, 0, (0, 0))
    key = _check.random_key(key, "SSL-HSIC with random features")
    if num_features < 4 or num_features % 4:
        raise ValueError(f"num_features is {num_features}: a positive multiple of 4 is needed.")
    first, second = (
        random_fourier(kernel, samples.shape[1], num_features // 2, key=half, quasi=quasi)(samples)
        for half in jax.random.split(key)
    )
    # dep is linear in k: of both draws it is the mean.
    sums = jax.tree.map(lambda a, b: (a + b) / 2, *(feature_identity_sums(one, num_views) for one in (first, second)))
    first, second = (one - one.mean(0, keepdims=True) for one in (first, second))
    cross = jnp.matmul(first.T, second, precision=jax.lax.Precision.HIGHEST) / len(samples)
    return sums.dependence(num_views, batch, estimate, num_images), (cross**2).sum()


def safe_root(squared: Scalar) -> Scalar:
    """√max(h, 0), with derivative 0 where h is not above rounding; NaN stays NaN."""
    above = squared > jnp.finfo(squared.dtype).eps ** 2
    return jnp.where(above, jnp.sqrt(jnp.where(above, squared, 1)), 0 * squared)


class SSLHSIC(AbstractObjective):
    """L = −dep + γ√HSIC(Z, Z), with Z the L2-normalised outputs (Li et al. 2021, with Δl = N).

    dep = E_pos k − E k is the dependence on identity, (N/Δl)·HSIC(Z, Y). √HSIC(Z, Z) is the regulariser: without it
    few well-separated codes are as good as many (C orthogonal codes have dep = 1 − 1/C). The loss is 1-homogeneous in
    the kernel's amplitude, so γ does not depend on that; it does depend on the kernel's length scale.

    Full collapse has loss 0. Near it the kernel is linear in s, and for features of covariance Σ, with Σ_between that
    of the images' means, the loss is (γ‖Σ‖_F − tr Σ_between)/c² (kerneldep's): below that of collapse only if the
    effective rank (tr Σ)²/‖Σ‖²_F exceeds γ², whatever the length scale c. If it does not, a scatter of rank below γ²
    falls back, and one of higher rank stays at a plateau until its weak directions have grown (`collapse_flow`). So
    spread the projections at the start, as a batch norm without affine parameters does as the projector's last layer,
    and prefer a small c, for which the nonlinear kernel raises the effective rank.

    `terms`: "dep", "hsic_zz" and "hsic_zy" = (Δl/N)·dep with Δl = `delta_l` and N = `num_images`, or B if that is None.

    Args:
        gamma: γ ≥ 0; 3 in the paper.
        kernel: k on the unit sphere; by default the paper's inverse multiquadric c/√(c² + r²), with c = ½.
        estimate: of dep: "unbiased", "paper" (the published batch estimate), "population" (plug-in).
        num_features: None for exact Gram matrices, else D random Fourier features drawn afresh at each step, half of
            them in each of two draws (the authors' code has 512 cosines of random phase in each).
        quasi: frequencies from scrambled Sobol' points: the same law and no bias, less variance (kerneldep's; the paper
            draws independent ones).
        target: "none", "ema" or "stop_gradient": with one, the online network's predictions of all views and the
            target network's projections of all views are taken together as 2M views, as in the paper.
        learn_scale: learn c of an inverse multiquadric kernel, starting from the one given, by maximising
            E log|∂k/∂s| over squared distances s (gradient stopped): the optimum is c² = s/2 for a single s.
        num_images: N; None for N → ∞ in the unbiased estimate.
        delta_l: Δl of the reported HSIC(Z, Y); the loss does not depend on it.
        num_views: M.
    """

    gamma: float = eqx.field(static=True, converter=float)
    kernel: AbstractKernel
    log_scale: Float[Array, ""] | None
    estimate: Estimate = eqx.field(static=True)
    num_features: int | None = eqx.field(static=True)
    quasi: bool = eqx.field(static=True)
    target: Target = eqx.field(static=True)
    num_images: int | None = eqx.field(static=True)
    delta_l: float = eqx.field(static=True, converter=float)
    num_views: int = eqx.field(static=True)

    def __init__(
        self,
        gamma: float = 3.0,
        kernel: AbstractKernel | None = None,
        *,
        estimate: Estimate = "unbiased",
        num_features: int | None = None,
        quasi: bool = True,
        target: Target = "none",
        learn_scale: bool = False,
        num_images: int | None = None,
        delta_l: float = 1.0,
        num_views: int = 2,
    ) -> None:
        if gamma < 0:
            raise ValueError(f"SSLHSIC.gamma is {gamma}: it cannot be negative.")
        if num_features is not None and (num_features < 4 or num_features % 4):
            raise ValueError(f"SSLHSIC.num_features is {num_features}: None or a positive multiple of 4 is needed.")
        if target not in get_args(Target):
            raise ValueError(f"SSLHSIC.target is {target!r}: one of {get_args(Target)} is needed.")
        check_estimate(estimate, None, 0)
        kernel = InverseMultiquadric(0.5) if kernel is None else kernel
        self.gamma, self.kernel, self.estimate = gamma, kernel, estimate
        self.num_features, self.quasi = num_features, quasi
        self.target, self.num_images, self.delta_l, self.num_views = target, num_images, delta_l, num_views
        if not learn_scale:
            self.log_scale = None
        elif isinstance(kernel, InverseMultiquadric):
            self.log_scale = jnp.log(jnp.asarray(kernel.scale, float))
        else:
            raise ValueError(f"SSLHSIC.learn_scale needs an InverseMultiquadric kernel, not {type(kernel).__name__}.")

    @property
    def predictor(self) -> bool:
        """With a target network, as in the paper."""
        return self.target != "none"

    def init(self, dim: int, *, key: Key[Array, ""] | None = None) -> None:
        """No state."""

    def trainable(self) -> PyTree[bool]:
        """The logarithm of the scale, if it is learned."""
        nothing = nothing_trainable(self)
        return nothing if self.log_scale is None else eqx.tree_at(lambda one: one.log_scale, nothing, True)

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = unit_views(outputs, self.target)
        scale = None if self.log_scale is None else jnp.exp(self.log_scale)
        kernel = self.kernel if scale is None else InverseMultiquadric(scale)
        dependence, self_dependence = ssl_hsic_terms(
            views,
            jax.lax.stop_gradient(kernel),
            estimate=self.estimate,
            num_images=self.num_images,
            num_features=self.num_features,
            quasi=self.quasi,
            key=key,
        )
        loss = -dependence + self.gamma * safe_root(self_dependence)
        terms = {
            "dep": dependence,
            "hsic_zz": self_dependence,
            "hsic_zy": identity_hsic(dependence, self.num_images or views.shape[1], self.delta_l),
        }
        if scale is not None:
            fit = -scale_fit(scale, views)
            loss = loss + fit - jax.lax.stop_gradient(fit)  # trains the scale, leaves the loss's value
            terms["scale"] = scale
        return loss, terms, state


def scale_fit(scale: Float[Array, ""], views: Float[Array, "M B d"], limit: int = 1024) -> Scalar:
    """E log|∂k/∂s| of k = c/√(c² + s), up to a constant, over squared distances s of at most `limit` views."""
    z = jax.lax.stop_gradient(views.reshape(-1, views.shape[-1]))
    z = z[:: -(-len(z) // limit)]
    s = jnp.maximum(2 - 2 * jnp.matmul(z, z.T, precision=jax.lax.Precision.HIGHEST), 0)
    slopes = jnp.where(jnp.eye(len(z), dtype=bool), 0, jnp.log(scale) - 1.5 * jnp.log(scale**2 + s))
    return slopes.sum() / (len(z) * (len(z) - 1))
