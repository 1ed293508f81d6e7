"""SSL-HSIC as kernel k-means with image identities for clusters: scatter within and between images."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.tiled import Side, map_rows, side
from ..kernels import AbstractKernel
from ..kernels.base import check_parameters


class Clustering(eqx.Module):
    """What `clustering` finds, in the unit of k. Expectations are over the views as the whole population.

    Attributes:
        dependence: dep = E_pos k − E k = (N/Δl)·HSIC(Z, Y), the scatter between images.
        within_scatter: E k(Z, Z) − E_pos k, the scatter of an image's views about their mean embedding.
        total_scatter: E k(Z, Z) − E k, which is within + dep (P5).
        image_mmd: MMD²(P_image, P_all) of each image; their mean is dep (P4).
        image_scatter: scatter of each image's views; their mean is `within_scatter`.
        margin: of each view, min_{j≠i}‖φ(z) − μ_j‖² − ‖φ(z) − μ_i‖², i its own image: where it is negative a step of
            kernel k-means would move the view to another image.
    """

    dependence: Scalar
    within_scatter: Scalar
    total_scatter: Scalar
    image_mmd: Float[Array, " B"]
    image_scatter: Float[Array, " B"]
    margin: Float[Array, "M B"]

    @property
    def positive_distance(self) -> Array:
        """E_pos‖φ(Z) − φ(Z′)‖², twice the scatter within images."""
        return 2 * self.within_scatter

    @property
    def explained(self) -> Array:
        """dep/total, the share of the scatter that lies between images: 1 − the normalised k-means objective."""
        some = self.total_scatter > 0
        return jnp.where(some, self.dependence / jnp.where(some, self.total_scatter, 1), 0)

    @property
    def stable_share(self) -> Array:
        """The share of views nearer to their own image's mean embedding than to any other; 0 at collapse."""
        return (self.margin > 0).astype(self.margin.dtype).mean((-1, -2))


def clustering(views: ArrayLike, kernel: AbstractKernel) -> Clustering:
    """Dependence on identity as the quality of a clustering by identity.

    With φ the feature map of k and μ_i = E φ over image i's views,

        dep = (1/N) Σ_i MMD²(P_i, P_all) = (1/2N²) Σ_ij MMD²(P_i, P_j)          (P4)
        E k(Z, Z) − E k = [E k(Z, Z) − E_pos k] + dep, E k(Z, Z) − E_pos k = ½E_pos‖φ(Z) − φ(Z′)‖²          (P5)

    so that at fixed total scatter, maximising HSIC(Z, Y) is minimising the kernel k-means objective E‖φ(Z) − μ_Y‖².

    Args:
        views: representations [M, B, d], the whole population: M equally likely views of each of B images. E_pos
            includes a view with itself.
        kernel: k.

    Returns:
        A `Clustering`. Time (MB)²d; rows of the Gram matrix are held a tile at a time, and M²B entries within images.

    Raises:
        TypeError: something that is no kernel.
        ValueError: M = 1 or B = 1, NaN or infinite values.

    Source: Song et al. (2007), "A dependence maximization view of clustering"; here with image identities.

    Example:
        >>> from kerneldep.kernels import Gaussian
        >>> views = jnp.array([[[0.0], [2.0]], [[0.2], [2.2]]])
        >>> found = clustering(views, Gaussian(1.0))
        >>> float(found.explained), float(found.stable_share)
        (0.977, 1.0)
    """
    return _clustering(*_checked(views, kernel))


def image_distances(views: ArrayLike, kernel: AbstractKernel) -> Float[Array, "B B"]:
    """MMD²(P_i, P_j) = ‖μ_i − μ_j‖² of every two images, the V-statistic.

    Half its mean over all N² pairs is dep (P4).

    Args:
        views: representations [M, B, d].
        kernel: k.

    Returns:
        A symmetric matrix with zero diagonal, in the unit of k. Time (MB)²d; memory a tile of rows and MB².

    Raises:
        TypeError, ValueError: as `clustering`.
    """
    return _image_distances(*_checked(views, kernel))


def _checked(views: ArrayLike, kernel: AbstractKernel) -> tuple[Float[Array, "M B d"], AbstractKernel]:
    guard = _check.Guard()
    check_parameters(kernel, "kernel", guard)
    return guard.on(_check.as_views(views, "views", guard)), kernel


@eqx.filter_jit
def _clustering(views: Float[Array, "M B d"], kernel: AbstractKernel) -> Clustering:
    num_views, batch, dim = views.shape
    one = side(kernel, views.reshape(-1, dim))
    norms = _image_norms(one, num_views)

    def of_rows(rows: Float[Array, "t n"], index: Int[Array, " t"]) -> tuple[Array, Array]:
        rows = rows - one.shift
        to_images = rows.reshape(-1, num_views, batch).mean(1)
        # ‖φ(z) − μ_j‖² less what is the same for every j.
        distances = norms[None, :] - 2 * to_images
        own = jnp.arange(batch)[None, :] == (index % batch)[:, None]
        return rows.mean(1), jnp.where(own, jnp.inf, distances).min(1) - jnp.where(own, distances, 0).sum(1)

    mean, margin = map_rows(of_rows, kernel, one.points)
    everything = mean.mean()
    diagonal = (one.diagonal - one.shift).reshape(num_views, batch).mean(0)
    image_mmd = norms - 2 * mean.reshape(num_views, batch).mean(0) + everything
    return Clustering(
        dependence=norms.mean() - everything,
        within_scatter=(diagonal - norms).mean(),
        total_scatter=diagonal.mean() - everything,
        image_mmd=jnp.maximum(image_mmd, 0),
        image_scatter=jnp.maximum(diagonal - norms, 0),
        margin=margin.reshape(num_views, batch),
    )


@eqx.filter_jit
def _image_distances(views: Float[Array, "M B d"], kernel: AbstractKernel) -> Float[Array, "B B"]:
    num_views, batch, dim = views.shape
    one = side(kernel, views.reshape(-1, dim))
    to_images = map_rows(lambda rows, _: (rows - one.shift).reshape(-1, num_views, batch).mean(1), kernel, one.points)
    means = to_images.reshape(num_views, batch, batch).mean(0)
    norms = jnp.diagonal(means)
    distances = jnp.maximum(norms[:, None] + norms[None, :] - means - means.T, 0)
    return jnp.where(jnp.eye(batch, dtype=bool), 0, distances)


def _image_norms(one: Side, num_views: int) -> Float[Array, " B"]:
    """‖μ_i‖² less the shift: the mean of k over all pairs of views of image i, for samples ordered [M, B]."""
    by_image = jax.tree.map(lambda leaf: leaf.reshape(num_views, -1, *leaf.shape[1:]).swapaxes(0, 1), one.points)
    grams = jax.vmap(one.kernel.pairwise)(by_image, by_image) - one.shift
    # The diagonal as the kernel knows it: a distance's root leaves rounding there.
    diagonal = (one.diagonal - one.shift).reshape(num_views, -1).sum(0)
    off = jnp.where(jnp.eye(num_views, dtype=bool)[None], 0, grams).sum((1, 2))
    return (off + diagonal) / num_views**2
