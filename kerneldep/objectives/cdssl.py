"""CDSSL: correlation and dependence, across and within views, over samples and over features (Sepanj et al. 2025)."""

from typing import Literal, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar

from .. import _check
from ..dependence.exact import biased_statistic
from ..dependence.tiled import gram_sums, side
from ..kernels import Gaussian
from ..kernels.dot_product import normalise
from .base import AbstractStatelessObjective, Outputs, online_views
from .correlation import squares, standardise

SelfDependence = Literal["maximise", "penalise"]
Normaliser = Literal["trace", "v_statistic"]


class CDSSLTerms(NamedTuple):
    """The eight terms, of samples and of features (see `CDSSL`); dependences are V-statistics, without their signs."""

    cross_correlation_samples: Scalar
    cross_correlation_features: Scalar
    auto_correlation_samples: Scalar
    auto_correlation_features: Scalar
    cross_dependence_samples: Scalar
    cross_dependence_features: Scalar
    auto_dependence_samples: Scalar
    auto_dependence_features: Scalar


@eqx.filter_jit
def cdssl_terms(
    views: Float[Array, "M B d"],
    *,
    off_diagonal: float = 0.05,
    bandwidth: float | None = None,
    key: Key[Array, ""] | None = None,
) -> CDSSLTerms:
    """The eight terms of CDSSL, views as they are.

    Time Bd(B + d). Gram matrices of the kernels are held a tile at a time; correlations take min(B, d)².

    Args:
        views: representations [M, B, d].
        off_diagonal: λ of the cross-correlation terms.
        bandwidth: σ of both Gaussian kernels; None for √(p/2) for vectors in dimension p, d or B.
        key: for the permutation of features.
    """
    num_views, _, dim = views.shape
    order = jax.random.permutation(_check.random_key(key, "CDSSL, which shuffles features,"), dim)

    def of_pair(one: Float[Array, "B d"], other: Float[Array, "B d"]) -> CDSSLTerms:
        cross_samples, auto_samples = correlations(one, other, off_diagonal)
        cross_features, auto_features = correlations(one.T, other.T, off_diagonal)
        dependence_samples, self_samples = dependences(one, other, bandwidth)
        dependence_features, self_features, shuffled = dependences(one.T, other.T, bandwidth, order)
        return CDSSLTerms(
            cross_samples,
            cross_features,
            auto_samples,
            auto_features,
            dependence_samples,
            dependence_features - shuffled,
            self_samples,
            self_features,
        )

    first, second = np.triu_indices(num_views, 1)
    return jax.tree.map(jnp.mean, jax.vmap(of_pair)(views[first], views[second]))


def correlations(one: Float[Array, "n p"], other: Float[Array, "n p"], off_diagonal: float) -> tuple[Scalar, Scalar]:
    """Σ(1 − C_ii)² + λΣ_{i≠j}C²_ij across views, and Σ_{i≠j}C²_ij within, the sum over both."""
    one, other = standardise(one), standardise(other)
    diagonal, across = squares(one, other)
    return ((1 - diagonal) ** 2).sum() + off_diagonal * across, squares(one, one)[1] + squares(other, other)[1]


def dependences(
    one: Float[Array, "n p"], other: Float[Array, "n p"], bandwidth: float | None, order: Int[Array, " n"] | None = None
) -> tuple[Scalar, ...]:
    """HSIC of n unit vectors across views, and within, the sum over both; given an order, across with one permuted."""
    kernel = Gaussian((one.shape[1] / 2) ** 0.5 if bandwidth is None else bandwidth)
    sides = [side(kernel, normalise(view)) for view in (one, other)]
    pairs = [(0, 1), (0, 0), (1, 1)]
    if order is not None:
        sides += [view.permuted(order) for view in sides]
        pairs += [(0, 3), (1, 2)]  # both, so that the order of views does not matter
    sums = gram_sums(tuple(sides), tuple(pairs))
    across, of_one, of_other, *shuffled = [biased_statistic(sums, which, pair) for which, pair in enumerate(pairs)]
    if order is None:
        return across, of_one + of_other
    return across, of_one + of_other, jnp.stack(shuffled).mean()


class CDSSL(AbstractStatelessObjective):
    """L = a weighted sum of eight terms: cross/auto × correlation/dependence × samples/features (Sepanj et al. 2025).

    For two views z, z′ [B, d], over samples; the same of zᵀ, z′ᵀ, over features (statistics run over samples or over
    features: "samples" is Barlow Twins' [d, d] correlation matrix, as in the authors' code):

    - cross-correlation: Σ_i(1 − C_ii)² + λΣ_{i≠j}C²_ij, C the correlation of z with z′;
    - auto-correlation: Σ_v Σ_{i≠j}C²_ij, C the correlation of a view with itself;
    - cross-dependence: −H(z, z′), but over features −H(zᵀ, z′ᵀ) + H(zᵀ, πz′ᵀ), π a random permutation of the features;
    - auto-dependence: −Σ_v H(z, z) as published, or +Σ_v with `self_dependence` "penalise", as in SSL-HSIC.

    H is HSIC with Gaussian kernels on rows L2-normalised, of bandwidth √(p/2), i.e. exp(−r²/p), for rows in dimension p
    (d for samples, B for features). With M > 2 views, the mean of the loss over all pairs of views, the shuffled term
    over both orders of a pair with the same π (kerneldep's: the order of views then does not matter).

    Confirmed in the authors' repository: the terms and their signs, λ = 0.05, the kernel, H = tr(KHLH) without a
    normaliser (`normaliser` "trace"; "v_statistic" divides by n², n = B or d), and, as one of several commented
    settings for CIFAR, in a file with B = 512, the weights that are the defaults here. Not confirmed: which weights
    made the published numbers. Their correlations are 1 − 1/n times those here (n − 1 in the deviation, n in the
    mean). With "trace" the balance of terms moves with B and d, and the weights matter most.

    In the lens of dependence: −H(z, z′) is dependence between views, which comes through identity alone, since views
    are independent given the image; auto-correlation over samples is HSIC(Z, Z) with the linear kernel on standardised
    features, less its diagonal part: a regulariser. On unit vectors exp(−r²/p) is nearly linear,
    H → (2/p)²‖Cov(z, z′)‖²_F as p grows, so that at the default bandwidth dependence sees little beyond covariance. And
    the self-dependence that is maximised is then largest for two antipodal points, with ‖Cov‖²_F = 1 against 1/d for
    the uniform law: taken alone that sign rewards few directions, not spread, and other terms have to make up for it
    (kerneldep's).

    `terms`: the eight, by their names in `cdssl_terms`, dependences as V-statistics without their signs.

    Args:
        cross_correlation_samples: its weight ≥ 0; likewise the next seven.
        cross_correlation_features: its weight.
        auto_correlation_samples: its weight.
        auto_correlation_features: its weight.
        cross_dependence_samples: its weight.
        cross_dependence_features: its weight.
        auto_dependence_samples: its weight.
        auto_dependence_features: its weight.
        self_dependence: "maximise" (published) or "penalise".
        off_diagonal: λ ≥ 0.
        bandwidth: σ > 0 of both kernels; None for √(p/2).
        normaliser: of H, "trace" or "v_statistic".
        num_views: M.
    """

    cross_correlation_samples: float = eqx.field(static=True, converter=float, default=1e-4)
    cross_correlation_features: float = eqx.field(static=True, converter=float, default=1e-4)
    auto_correlation_samples: float = eqx.field(static=True, converter=float, default=1e-5)
    auto_correlation_features: float = eqx.field(static=True, converter=float, default=1e-5)
    cross_dependence_samples: float = eqx.field(static=True, converter=float, default=1000.0)
    cross_dependence_features: float = eqx.field(static=True, converter=float, default=1.0)
    auto_dependence_samples: float = eqx.field(static=True, converter=float, default=10.0)
    auto_dependence_features: float = eqx.field(static=True, converter=float, default=0.5)
    self_dependence: SelfDependence = eqx.field(static=True, default="maximise")
    off_diagonal: float = eqx.field(static=True, converter=float, default=0.05)
    bandwidth: float | None = eqx.field(static=True, default=None)
    normaliser: Normaliser = eqx.field(static=True, default="trace")
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        for name in (*CDSSLTerms._fields, "off_diagonal"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"CDSSL.{name} is {getattr(self, name)}: it cannot be negative.")
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise ValueError(f"CDSSL.bandwidth is {self.bandwidth}: None or a positive number is needed.")
        if self.self_dependence not in get_args(SelfDependence):
            raise ValueError(
                f"CDSSL.self_dependence is {self.self_dependence!r}: one of {get_args(SelfDependence)} is needed."
            )
        if self.normaliser not in get_args(Normaliser):
            raise ValueError(f"CDSSL.normaliser is {self.normaliser!r}: one of {get_args(Normaliser)} is needed.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = online_views(outputs)
        terms = cdssl_terms(views, off_diagonal=self.off_diagonal, bandwidth=self.bandwidth, key=key)
        _, batch, dim = views.shape
        of_samples, of_features = (1.0, 1.0) if self.normaliser == "v_statistic" else (float(batch**2), float(dim**2))
        sign = -1 if self.self_dependence == "maximise" else 1
        loss = (
            self.cross_correlation_samples * terms.cross_correlation_samples
            + self.cross_correlation_features * terms.cross_correlation_features
            + self.auto_correlation_samples * terms.auto_correlation_samples
            + self.auto_correlation_features * terms.auto_correlation_features
            - self.cross_dependence_samples * of_samples * terms.cross_dependence_samples
            - self.cross_dependence_features * of_features * terms.cross_dependence_features
            + sign * self.auto_dependence_samples * of_samples * terms.auto_dependence_samples
            + sign * self.auto_dependence_features * of_features * terms.auto_dependence_features
        )
        return loss, terms._asdict(), state
