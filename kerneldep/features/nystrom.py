"""Nyström features: a kernel seen from a few landmarks (Williams and Seeger 2001)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel
from ..kernels.base import check_parameters, dense_gram
from .base import AbstractFeatureMap


class Nystrom(AbstractFeatureMap):
    """φ(x) = L⁻¹ k(landmarks, x) with LLᵀ = K_mm, so that φ(x)ᵀφ(x′) = k(x, Z) K_mm⁻¹ k(Z, x′).

    That is k(x, x′) where x or x′ is a landmark, and never above k(x, x) on the diagonal.
    """

    kernel: AbstractKernel
    landmarks: Float[Array, "m d"]
    whitening: Float[Array, "m m"]

    @property
    def num_features(self) -> int:
        """The number of landmarks m."""
        return len(self.landmarks)

    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n D"]:
        """Features of samples: n·m kernel evaluations and n·m² products."""
        # Samples and landmarks are prepared together, so that both are centred alike.
        gram = dense_gram(self.kernel, x, self.landmarks)
        return jnp.matmul(gram, self.whitening.T, precision=jax.lax.Precision.HIGHEST)


def nystrom(kernel: AbstractKernel, landmarks: ArrayLike, *, jitter: float | None = None) -> Nystrom:
    """The Nyström feature map of any kernel, a user's or a composed one included.

    Its kernel is that of the projection onto the span of the landmarks' features, hence K̂ ⪯ K. By Cholesky's
    decomposition of K_mm rather than its root or its eigenvectors: the features differ by a rotation, their products
    do not, and the derivative is finite where eigenvalues coincide. Time m³/3 once; memory m².

    Args:
        kernel: the kernel.
        landmarks: Z, [m] or [m, d]; see `choose_landmarks`. They may be equal to each other.
        jitter: K_mm + jitter · diag(K_mm) is decomposed, which takes at most `jitter` times the mean diagonal from an
            eigenvalue of K; 8·m·eps by default, the rounding of K_mm's own largest eigenvalue.

    Returns:
        A feature map [n, d] → [n, m]. Gradients reach landmarks and the kernel's parameters.

    Raises:
        TypeError: if it is no kernel, or landmarks are no numbers.
        ValueError: if the kernel is not positive semi-definite on the landmarks.

    Source: Williams and Seeger (2001).

    Example:
        >>> from kerneldep.kernels import Polynomial
        >>> kernel, x = Polynomial(degree=2), jnp.arange(6.0)[:, None] / 6
        >>> phi = nystrom(kernel, x[::2])  # (xx′ + 1)² has three features
        >>> bool(jnp.allclose(phi(x) @ phi(x).T, kernel.gram(x), atol=1e-3))
        True
    """
    guard = _check.Guard()
    check_parameters(kernel, "kernel", guard)
    landmarks = _check.as_samples(landmarks, "landmarks", guard)
    whitening = _whitening(kernel, landmarks, jitter)
    guard.require(
        jnp.isfinite(whitening).all(),
        f"{type(kernel).__name__} is not positive semi-definite on the landmarks: Nyström features do not exist.",
    )
    return Nystrom(kernel, landmarks, guard.on(whitening))


@eqx.filter_jit
def _whitening(kernel: AbstractKernel, landmarks: Float[Array, "m d"], jitter: float | None) -> Float[Array, "m m"]:
    gram = dense_gram(kernel, landmarks)
    m = len(landmarks)
    jitter = 8 * m * float(jnp.finfo(gram.dtype).eps) if jitter is None else jitter
    # To unit diagonal first: then one landmark of a large norm does not drown the others in its rounding.
    diagonal = jnp.diagonal(gram)
    positive = diagonal > 0
    scale = jnp.where(positive, jax.lax.rsqrt(jnp.where(positive, diagonal, 1)), 0)
    unit = gram * scale[:, None] * scale[None, :] + jnp.diag(jnp.where(positive, jitter, 1).astype(gram.dtype))
    root = jnp.linalg.cholesky(unit, symmetrize_input=True)
    return jax.scipy.linalg.solve_triangular(root, jnp.diag(scale), lower=True)
