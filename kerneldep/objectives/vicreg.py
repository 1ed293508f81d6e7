"""VICReg: variance, invariance, covariance (Bardes et al. 2022)."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .base import AbstractStatelessObjective, Outputs, online_views
from .correlation import centre_columns, squares

Convention = Literal["paper", "official"]


@eqx.filter_jit
def vicreg_terms(
    views: Float[Array, "M B d"], convention: Convention = "official", *, deviation: float = 1.0, epsilon: float = 1e-4
) -> tuple[Scalar, Scalar, Scalar]:
    """Invariance, variance and covariance of VICReg (see `VICReg`), views as they are.

    Time MBd·min(B, d), memory min(B, d)².

    Args:
        views: representations [M, B, d].
        convention: "paper" or "official".
        deviation: s, the standard deviation that the hinge asks of each coordinate.
        epsilon: ε, added to the variance under the root.
    """
    num_views, batch, dim = views.shape
    unbiased = batch / (batch - 1)
    variances, covariances = [], []
    for view in views:
        centred = centre_columns(view)
        variance, off_diagonal = squares(centred, centred)
        variances.append(jax.nn.relu(deviation - jnp.sqrt(unbiased * variance + epsilon)).mean())
        covariances.append(unbiased**2 * off_diagonal / dim)
    # The mean over pairs of different views is 2M/(M − 1) times the mean squared deviation from their centre.
    invariance = 2 * num_views / (num_views - 1) * ((views - views.mean(0, keepdims=True)) ** 2).sum(2).mean()
    variance, covariance = jnp.stack(variances).mean(), 2 * jnp.stack(covariances).mean()
    return (invariance, 2 * variance, covariance) if convention == "paper" else (invariance / dim, variance, covariance)


class VICReg(AbstractStatelessObjective):
    """L = a·invariance + b·variance + c·covariance (Bardes et al. 2022).

    For two views z, z′ of B images in dimension d, with variances and covariances over n − 1 = B − 1:

    - invariance: E_pos‖z − z′‖²;
    - variance: Σ_v (1/d) Σ_i relu(s − √(Var z_i + ε)), the sum over both views;
    - covariance: Σ_v (1/d) Σ_{i≠j} Cov(z_i, z_j)².

    These are the formulas of the paper, `convention` "paper". The authors' code, "official", averages the squared
    distance over d as well, and halves the variance term (its mean over both views). The two differ by factors that
    the weights take up: a by d, b by 2. With M > 2 views, the mean of this over all pairs of views.

    Defaults: a = b = 25, c = 1, s = 1, ε = 1e-4 are those of the authors' code, hence "official". The weights, s and d
    matter; views are not normalised, so that the scale of z is held up by the hinge alone.

    In the lens of dependence, with the linear kernel: invariance is 2(E‖z‖² − E_pos z·z′), the alignment part of
    dependence on identity. Covariance is HSIC(Z, Z) of a view less its diagonal part,
    [(B/(B − 1))² HSIC(Z, Z) − Σ_i Var(z_i)²]/d with the V-statistic HSIC(Z, Z) = ‖Cov‖²_F: the regulariser without what
    would shrink the variances. The variance term asks for scatter, as dep does by E‖z‖² − ‖E z‖², but only up to s².

    `terms`: "invariance", "variance", "covariance", in the convention chosen.

    Args:
        invariance: a ≥ 0.
        variance: b ≥ 0.
        covariance: c ≥ 0.
        convention: "official" or "paper".
        deviation: s > 0.
        epsilon: ε > 0; it bounds the slope of the root by 1/(2√ε).
        num_views: M.
    """

    invariance: float = eqx.field(static=True, converter=float, default=25.0)
    variance: float = eqx.field(static=True, converter=float, default=25.0)
    covariance: float = eqx.field(static=True, converter=float, default=1.0)
    convention: Convention = eqx.field(static=True, default="official")
    deviation: float = eqx.field(static=True, converter=float, default=1.0)
    epsilon: float = eqx.field(static=True, converter=float, default=1e-4)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not min(self.invariance, self.variance, self.covariance) >= 0:
            raise ValueError(
                f"VICReg's weights are {self.invariance} (invariance), {self.variance} (variance) and "
                f"{self.covariance} (covariance): none can be negative."
            )
        if not (self.deviation > 0 and self.epsilon > 0):
            raise ValueError(
                f"VICReg.deviation is {self.deviation} and epsilon is {self.epsilon}: both must be positive."
            )
        if self.convention not in get_args(Convention):
            raise ValueError(f"VICReg.convention is {self.convention!r}: one of {get_args(Convention)} is needed.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        invariance, variance, covariance = vicreg_terms(
            online_views(outputs), self.convention, deviation=self.deviation, epsilon=self.epsilon
        )
        loss = self.invariance * invariance + self.variance * variance + self.covariance * covariance
        return loss, {"invariance": invariance, "variance": variance, "covariance": covariance}, state
