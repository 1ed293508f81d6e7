"""Mutual information from distances to nearest neighbours: no bound, no training."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Scalar
from scipy.spatial import KDTree
from scipy.special import digamma

from .. import _check
from .._check import ArrayLike


def ksg(x: ArrayLike, y: ArrayLike, num_neighbours: int = 3) -> Scalar:
    """The estimator of Kraskov, Stögbauer & Grassberger (2004), their first, with the max norm in each space.

    Î = ψ(k) + ψ(n) − mean_i[ψ(a_i + 1) + ψ(b_i + 1)], where a_i and b_i count the other points whose x, and whose y,
    is strictly closer to point i than its k-th neighbour in the joint space is. It is no bound: it errs to either side
    and can be negative. Its bias grows with the dimension and with I, for which n must grow exponentially.

    Ties: a density has none. Where at least k others equal point i in both x and y, its term becomes
    ψ(c_xy) + ψ(n) − ψ(c_x) − ψ(c_y) with the numbers of points equal to it, itself included [kerneldep's]: discrete
    data then give the plug-in estimate with ψ for log, and constant data 0. Rounded continuous data are better jittered
    below their resolution first.

    Args:
        x: samples [n] or [n, d]. The norm compares coordinates: bring them to like scales.
        y: samples [n] or [n, e], paired with x.
        num_neighbours: k, in 1 … n − 1. Small k has little bias, large k little variance.

    Returns:
        A scalar in nats. Time about n log n in few dimensions, for small I more; on the host, by SciPy's k-d tree.

    Raises:
        TypeError: complex or non-numeric input; traced input, since neighbours are searched by SciPy.
        ValueError: wrong rank, NaN or infinite values, unpaired samples, k outside 1 … n − 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=2000)
        >>> y = 0.8 * x + 0.6 * rng.normal(size=2000)
        >>> float(ksg(x, y))  # −log(0.6) = 0.511
        0.5
    """
    if _check.is_traced(x, y):
        raise TypeError("ksg searches neighbours on the host: call it outside jit, grad and vmap.")
    x, y = _as_host_samples(x, "x"), _as_host_samples(y, "y")
    num = len(x)
    if num != len(y):
        raise ValueError(f"x and y are paired samples: x has {num}, y has {len(y)}.")
    if _check.as_index(num_neighbours) not in range(1, num):
        raise ValueError(f"num_neighbours is {num_neighbours}: an integer from 1 to n − 1 = {num - 1} is needed.")
    joint = KDTree(np.concatenate([x, y], axis=1))
    # The nearest of the k + 1 is the point itself, or one equal to it.
    distance = np.asarray(joint.query(joint.data, num_neighbours + 1, p=np.inf)[0])[:, -1]
    tied = distance == 0
    closer = np.nextafter(distance, 0)  # the ball query includes its boundary; 0 stays 0
    in_x, in_y = (KDTree(side).query_ball_point(side, closer, p=np.inf, return_length=True) for side in (x, y))
    of_point = np.full(num, digamma(num_neighbours))
    if tied.any():
        equal = joint.query_ball_point(joint.data[tied], 0, p=np.inf, return_length=True)
        of_point[tied] = digamma(equal)
    # Counts include the point itself, hence the + 1 of the formula.
    terms = of_point + digamma(num) - digamma(in_x) - digamma(in_y)
    return jnp.asarray(terms.mean())


def _as_host_samples(values: ArrayLike, name: str) -> np.ndarray:
    """Samples [n, d] in float64: to narrow them would make ties."""
    array = np.asarray(_check.as_real(values, name), np.float64)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}: samples are [n] or [n, d], neither 0.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values: drop or impute those rows first.")
    return array.reshape(len(array), -1)
