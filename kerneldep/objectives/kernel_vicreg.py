"""Kernel VICReg: VICReg's three terms on Gram matrices (Sepanj, Ghojogh and Fieguth 2025)."""

import itertools
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from ..dependence.tiled import matched
from ..kernels import AbstractKernel, Gaussian
from ..kernels.centering import centered
from ..kernels.dot_product import normalise
from .base import AbstractStatelessObjective, Outputs, online_views


@eqx.filter_jit
def kernel_vicreg_terms(
    views: Float[Array, "M B d"], kernel: AbstractKernel, *, deviation: float = 1.0, epsilon: float = 1e-4
) -> tuple[Scalar, Scalar, Scalar]:
    """Invariance, variance and covariance of kernel VICReg (see `KernelVICReg`), views as they are.

    Args:
        views: representations [M, B, d].
        kernel: k.
        deviation: s, the standard deviation that the hinge asks of each principal direction.
        epsilon: ε, added to the eigenvalues under the root.

    Returns:
        The three terms. Time MB³ (an eigendecomposition a view, one after another), memory B²: no batch for thousands.
    """
    num_views, batch, dim = views.shape
    samples = views.reshape(-1, dim)
    prepared = jax.tree.map(lambda leaf: leaf.reshape(num_views, batch, *leaf.shape[1:]), kernel.prepare(samples))
    points = [jax.tree.map(lambda leaf, view=view: leaf[view], prepared) for view in range(num_views)]
    across = [matched(kernel, *pair).mean() for pair in itertools.combinations(points, 2)]
    invariance = 2 * kernel.diagonal(samples).mean() - 2 * jnp.stack(across).mean()

    variances, covariances = [], []
    for one in points:
        covariance = centered(kernel.pairwise(one, one)) / batch
        root = jnp.sqrt(jnp.maximum(eigenvalues(covariance) + epsilon, epsilon / 2))
        variances.append(jax.nn.relu(deviation - root).mean())
        covariances.append(jnp.where(jnp.eye(batch, dtype=bool), 0, covariance**2).sum())
    return invariance, 2 * jnp.stack(variances).mean(), 2 * jnp.stack(covariances).mean()


def eigenvalues(matrix: Float[Array, "n n"]) -> Float[Array, " n"]:
    """Eigenvalues of a symmetric matrix, for a symmetric function of them: Σf(λ_i) has gradient V f′(Λ) Vᵀ.

    That needs no gaps between eigenvalues, unlike the derivative of the eigenvectors, which is infinite at ties. So the
    eigenvectors are held fixed, and λ_i = v_iᵀAv_i. First derivatives only.
    """
    _, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(matrix))
    return (jnp.matmul(matrix, vectors, precision=jax.lax.Precision.HIGHEST) * vectors).sum(0)


class KernelVICReg(AbstractStatelessObjective):
    """L = a·invariance + b·variance + c·covariance, VICReg in the feature space of a kernel (Sepanj et al. 2025).

    For two views z, z′ of B images, with Gram matrices K, K′, their cross-Gram matrix K× and H = I − 11ᵀ/B:

    - invariance tr(K + K′ − 2K×)/B = E_pos‖φ(z) − φ(z′)‖²;
    - variance: the sum over both views of mean_i relu(s − √(λ_i + ε)), λ_i the B eigenvalues of HKH/B, which are those
      of the feature covariance;
    - covariance: the sum over both views of Σ_{i≠j} (HKH/B)²_ij.

    With M > 2 views, the mean of this over all pairs of views.

    The paper has these three terms on double-centred Gram matrices. Not confirmed: its normalisers, whether it squares
    the hinge, its weights, its bandwidth, and whether it normalises z. Here the weights, s and ε are VICReg's, and z is
    L2-normalised, so that a fixed bandwidth has a meaning.

    With k(z, z) = 1 the λ_i sum to at most 1 and one of them is 0: then the hinge at s = 1 is never closed and the term
    is s − mean √(λ_i + ε), least for a flat spectrum (kerneldep's). The weights and the bandwidth matter.

    In the lens of dependence: invariance is 2(E k(z, z) − E_pos k), the alignment part of dependence on identity.
    Covariance is HSIC(Z, Z) of a view, ‖HKH‖²_F/B², less its diagonal part: SSL-HSIC's regulariser without the root.
    The variance term asks for scatter Σλ_i = E k(z, z) − E E k, as dep does, and for many directions of it.

    `terms`: "invariance", "variance", "covariance".

    Args:
        kernel: k; by default a Gaussian of bandwidth 1.
        invariance: a ≥ 0.
        variance: b ≥ 0.
        covariance: c ≥ 0.
        deviation: s > 0.
        epsilon: ε > 0; it bounds the slope of the root by 1/(2√ε).
        normalised: whether z is L2-normalised first.
        num_views: M.
    """

    kernel: AbstractKernel
    invariance: float = eqx.field(static=True, converter=float)
    variance: float = eqx.field(static=True, converter=float)
    covariance: float = eqx.field(static=True, converter=float)
    deviation: float = eqx.field(static=True, converter=float)
    epsilon: float = eqx.field(static=True, converter=float)
    normalised: bool = eqx.field(static=True)
    num_views: int = eqx.field(static=True)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __init__(
        self,
        kernel: AbstractKernel | None = None,
        *,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        deviation: float = 1.0,
        epsilon: float = 1e-4,
        normalised: bool = True,
        num_views: int = 2,
    ) -> None:
        if not min(invariance, variance, covariance) >= 0:
            raise ValueError(
                f"KernelVICReg's weights are {invariance} (invariance), {variance} (variance) and {covariance} "
                "(covariance): none can be negative."
            )
        if not (deviation > 0 and epsilon > 0):
            raise ValueError(f"KernelVICReg.deviation is {deviation} and epsilon is {epsilon}: both must be positive.")
        self.kernel = Gaussian(1.0) if kernel is None else kernel
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.deviation, self.epsilon, self.normalised, self.num_views = deviation, epsilon, normalised, num_views

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = online_views(outputs)
        invariance, variance, covariance = kernel_vicreg_terms(
            normalise(views) if self.normalised else views,
            jax.lax.stop_gradient(self.kernel),
            deviation=self.deviation,
            epsilon=self.epsilon,
        )
        loss = self.invariance * invariance + self.variance * variance + self.covariance * covariance
        return loss, {"invariance": invariance, "variance": variance, "covariance": covariance}, state
