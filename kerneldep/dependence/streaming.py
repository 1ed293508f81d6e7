"""HSIC and CKA of data that arrive in batches: one pass, a state of size D²."""

import importlib.util
import math
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar

from .. import _check
from .._check import ArrayLike
from ..features import AbstractFeatureMap, OneHot
from ..kernels import AbstractKernel, Gaussian, Label
from ..kernels.bandwidth import median_distance
from ..kernels.base import check_parameters
from ..kernels.tiles import center
from .cka import alignment
from .estimator import Triple
from .feature_based import AbstractFeatureBased, FeatureDraws, feature_pairs, feature_statistic, triple_of
from .feature_sums import (
    FeatureSums,
    Moments,
    approximate_centers,
    change_of_moments,
    means,
    moments_about,
    recentred,
)
from .random_fourier import RandomFourier

Maps = AbstractFeatureMap | tuple[AbstractFeatureMap, ...]


class RunningSums(eqx.Module):
    """`FeatureSums` about the running mean, with what rounding has cut from each of its numbers so far."""

    sums: FeatureSums
    lost: Moments


def empty_sums(phi: AbstractFeatureMap | FeatureDraws, psi: AbstractFeatureMap | FeatureDraws) -> RunningSums:
    """Those of no samples."""
    (d, a), (e, b) = ((one.num_features, _dtype(one)) for one in (phi, psi))
    wide = jnp.promote_types(a, b)

    def zeros(shape: Any, dtype: Any) -> Array:
        return jnp.asarray(np.zeros(shape, dtype))  # copied, not compiled for every shape

    zero = Moments(
        n=zeros((), wide),
        phi=zeros(d, a),
        psi=zeros(e, b),
        cross=zeros((d, e), wide),
        p=zeros((), a),
        q=zeros((), b),
        phi_q=zeros(d, wide),
        psi_p=zeros(e, wide),
        pq=zeros((), wide),
    )
    return RunningSums(FeatureSums((zeros(d, a), zeros(e, b)), zero), zero)


def _dtype(tree: Any) -> Any:
    return jnp.result_type(float, *(leaf.dtype for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))))


def combined(a: RunningSums, b: RunningSums) -> RunningSums:
    """The sums of both samples, about the mean of both (Chan, Golub and LeVeque 1983).

    Moving to that mean and adding is a small change to large numbers; what rounding cuts off it is kept (Knuth's exact
    sum), so that it does not grow with the number of batches.
    """
    n = a.sums.moments.n + b.sums.moments.n
    share = b.sums.moments.n / jnp.where(n > 0, n, 1)
    centers = jax.tree.map(lambda of_a, of_b: of_a + share * (of_b - of_a), means(a.sums), means(b.sums))
    by = jax.tree.map(jnp.subtract, centers, a.sums.centers)
    change = jax.tree.map(jnp.add, change_of_moments(a.sums.moments, by), recentred(b.sums, centers).moments)
    total = jax.tree.map(jnp.add, a.sums.moments, change)
    cut = jax.tree.map(_rounding, a.sums.moments, change, total)
    return RunningSums(FeatureSums(centers, total), jax.tree.map(lambda *terms: sum(terms), a.lost, b.lost, cut))


def _rounding(a: Array, b: Array, total: Array) -> Array:
    """(a + b) − total, exactly."""
    of_b = total - a
    return (a - (total - of_b)) + (b - of_b)


class HSICState(eqx.Module):
    """HSIC of explicit features, so far: what `update` has been given, in D² numbers whatever their number.

    States are values: each method returns a new one. They are pytrees and pass through `jit` and `scan`, and those of
    parts of the data, from several processes or devices, merge. Rounding neither grows with the number of batches nor
    with an offset of the features. `hsic_stream` makes one from kernels.

    Example:
        >>> import kerneldep as kd
        >>> phi, psi = (kd.features.random_fourier(kd.kernels.Gaussian(1.0), 1, 64, key=key)
        ...     for key in jax.random.split(jax.random.key(0)))
        >>> state = HSICState.create(phi, psi)
        >>> x = np.linspace(0, 3, 100)
        >>> for start in range(0, 100, 30):
        ...     state = state.update(x[start : start + 30], x[start : start + 30] ** 2)
        >>> state.count, bool(state.finalise() > 0)
        (100, True)
    """

    of_x: FeatureDraws
    of_y: FeatureDraws
    origin_x: Float[Array, "1 d"] | None
    origin_y: Float[Array, "1 e"] | None
    sums: tuple[RunningSums, ...]
    unbiased: bool = eqx.field(static=True)

    @classmethod
    def create(
        cls,
        maps_x: Maps,
        maps_y: Maps,
        *,
        origin_x: ArrayLike | None = None,
        origin_y: ArrayLike | None = None,
        unbiased: bool = False,
        self_dependence: bool = True,
    ) -> "HSICState":
        """The state before any data.

        Args:
            maps_x: features of x: random Fourier, Nyström, one-hot, or a map of your own. Of random ones give two
                independent draws: self-dependence is then unbiased for the V-statistic.
            maps_y: features of y.
            origin_x: a point [d] amid x, subtracted from every sample before anything else, in the batch's own
                precision, so that an offset of the data costs no digits; the maps are of the difference.
            origin_y: likewise of y.
            unbiased: whether U-statistics are the default below.
            self_dependence: keep HSIC(X, X) and HSIC(Y, Y) too, which `cka` needs.
        """
        of_x, of_y = (FeatureDraws(maps if isinstance(maps, tuple) else (maps,)) for maps in (maps_x, maps_y))
        sums = (empty_sums(of_x, of_y),)
        if self_dependence:
            sums += tuple(empty_sums(one.maps[0], one.maps[-1]) for one in (of_x, of_y))
        at_x, at_y = (
            None if origin is None else _check.as_point(origin, name)[None, :]
            for origin, name in ((origin_x, "origin_x"), (origin_y, "origin_y"))
        )
        return cls(of_x, of_y, at_x, at_y, sums, unbiased)

    @property
    def count(self) -> int | Array:
        """The number of samples so far."""
        n, lost = self.sums[0].sums.moments.n, self.sums[0].lost.n
        return n + lost if _check.is_traced(n, lost) else round(float(n) + float(lost))

    def update(self, x_batch: ArrayLike, y_batch: ArrayLike) -> "HSICState":
        """The state with more samples.

        Batches may be of any and of varying size: they are padded by at most an eighth to one of few sizes, each of
        which is compiled once.

        Args:
            x_batch: t samples, [t] or [t, d].
            y_batch: their partners, [t] or [t, e].

        Raises:
            TypeError: complex or non-numeric data.
            ValueError: unequal numbers, another dimension than the origin's, NaN or infinite values, labels that a
                one-hot map does not know. Under `jit` conditions on values raise a RuntimeError at run time instead.
        """
        guard = _check.Guard()
        x, count = padded_samples(x_batch, "x_batch", self.origin_x, guard)
        y, partners = padded_samples(y_batch, "y_batch", self.origin_y, guard)
        if count != partners:
            raise ValueError(f"x_batch and y_batch are paired samples: x_batch has {count}, y_batch has {partners}.")
        for samples, of, name in ((x, self.of_x, "x_batch"), (y, self.of_y, "y_batch")):
            for one in of.maps:
                if isinstance(one, OneHot):
                    known = (Label().pairwise(samples, one.codes) > 0).any(1).all()
                    guard.require(known, f"{name} holds labels that its one-hot map does not know.")
        return _updated(self, guard.on(x), y, jnp.asarray(count))

    def merge(self, other: "HSICState") -> "HSICState":
        """The state of both data sets. The order of merging matters to rounding only.

        Raises:
            ValueError: if the other's features, origins or kept sums are not the same.
        """
        if jax.tree.structure(self) != jax.tree.structure(other):
            raise ValueError("States of different kinds of features, or of different sums, do not merge.")
        both = [(one.of_x, one.of_y, one.origin_x, one.origin_y) for one in (self, other)]
        if not _check.is_traced(*both) and not bool(eqx.tree_equal(*both)):
            raise ValueError("States of different features do not merge: create both with the same maps and origins.")
        return _merged(self, other)

    def finalise(self, unbiased: bool | None = None) -> Scalar:
        """HSIC(X, Y) of all samples so far, as V- or (`unbiased`) as U-statistic.

        Raises:
            ValueError: before two samples, or four for the U-statistic.
        """
        return _finalised(self.sums[:1], self._enough(unbiased))

    def cka(self, unbiased: bool | None = None) -> Scalar:
        """HSIC(X, Y)/√(HSIC(X, X)·HSIC(Y, Y)); see `kerneldep.cka`.

        Raises:
            ValueError: as `finalise`, or if self-dependences were not kept.
        """
        if len(self.sums) == 1:
            raise ValueError("CKA needs HSIC(X, X) and HSIC(Y, Y): create the state with self_dependence=True.")
        return alignment(_triple(self.sums, self._enough(unbiased)))

    def _enough(self, unbiased: bool | None) -> bool:
        unbiased = self.unbiased if unbiased is None else unbiased
        count, needed = self.count, 4 if unbiased else 2
        if isinstance(count, int) and count < needed:
            raise ValueError(f"The state holds n = {count} samples: n ≥ {needed} is needed.")
        return unbiased


@eqx.filter_jit
def _updated(state: HSICState, x: Float[Array, "t d"], y: Float[Array, "t e"], count: Int[Array, ""]) -> HSICState:
    def features(tile: tuple[Array, Array]) -> tuple[tuple[Array, Array], ...]:
        return feature_pairs(state.of_x, state.of_y, tile)[: len(state.sums)]

    centers = approximate_centers(features, (x, y))
    moments = moments_about(centers, features, (x, y), count=count)
    sums = tuple(
        combined(old, RunningSums(FeatureSums(at, new), jax.tree.map(jnp.zeros_like, new)))
        for old, at, new in zip(state.sums, centers, moments, strict=True)
    )
    return eqx.tree_at(lambda one: one.sums, state, sums)


@eqx.filter_jit
def _merged(state: HSICState, other: HSICState) -> HSICState:
    sums = tuple(combined(*pair) for pair in zip(state.sums, other.sums, strict=True))
    return eqx.tree_at(lambda one: one.sums, state, sums)


@eqx.filter_jit
def _finalised(sums: tuple[RunningSums, ...], unbiased: bool) -> Scalar:
    return feature_statistic(_whole(sums[0]), unbiased)


@eqx.filter_jit
def _triple(sums: tuple[RunningSums, ...], unbiased: bool) -> Triple:
    return triple_of(tuple(map(_whole, sums)), unbiased)


def _whole(one: RunningSums) -> FeatureSums:
    return FeatureSums(one.sums.centers, jax.tree.map(jnp.add, one.sums.moments, one.lost))


def padded_samples(
    values: ArrayLike, name: str, origin: Float[Array, "1 d"] | None, guard: _check.Guard
) -> tuple[Float[Array, "t d"], int]:
    """Samples of a batch less an origin, the last repeated until one of eight sizes an octave is full; their number."""
    array = _check.as_real(values, name)
    count = len(array) if array.ndim else 0
    pad = jnp.pad if isinstance(array, jax.Array) else np.pad  # NumPy need not compile it for every number
    if array.size and array.ndim:
        step = 2 ** max(count.bit_length() - 4, 0)
        array = pad(array, [(0, -count % step)] + [(0, 0)] * (array.ndim - 1), mode="edge")
    return _check.samples_about(array, name, origin, guard), count


def hsic_stream(
    batches: Iterable[tuple[ArrayLike, ArrayLike]],
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: AbstractFeatureBased = RandomFourier(512),  # noqa: B008 (immutable, holds no array)
    key: Key[Array, ""],
    self_dependence: bool = True,
    progress: bool = False,
) -> HSICState:
    """HSIC and CKA of a stream: `hsic_stream(batches, key=key).finalise()`, or `.cka()`.

    The features are made from the first batch: default bandwidths are its median distances, Nyström landmarks are
    chosen among its samples, labels are those it holds. They are as representative as that batch is: shuffle, or begin
    with a large one. For kernels that translations do not matter to, its centre becomes the origin.

    Args:
        batches: pairs (x [t, d], y [t, e]) of any sizes: a list, a generator, `batches_of(x, y, size)` for arrays and
            memory-mapped files. Each is dropped before the next is asked for.
        kernel_x: k; by default a Gaussian at the first batch's median bandwidth of x.
        kernel_y: l; likewise of y.
        estimator: `RandomFourier` or `Nystrom`, whose `unbiased` becomes the state's default.
        key: the randomness.
        self_dependence: keep what `cka` needs.
        progress: show a bar (needs tqdm).

    Returns:
        The state, which further batches can update.

    Raises:
        ImportError: if `progress` is asked for without tqdm.
        TypeError, ValueError: as `hsic`, of any batch; or if there are no batches.

    Example:
        >>> import kerneldep as kd
        >>> x = np.random.default_rng(0).normal(size=(3000, 2))
        >>> state = kd.hsic_stream(kd.dependence.batches_of(x, x**2, 1000), key=jax.random.key(0))
        >>> exact = kd.hsic(x, x**2, estimator=kd.Biased())
        >>> bool(abs(state.finalise() - exact) < 0.1 * exact)
        True
    """
    if not isinstance(estimator, AbstractFeatureBased):
        raise TypeError(f"estimator is {estimator!r}: RandomFourier or Nystrom is needed to stream.")
    if isinstance(batches, tuple) and len(batches) == 2 and all(hasattr(one, "ndim") for one in batches):
        raise TypeError("batches is a pair of arrays: pass batches_of(x, y, size).")
    key_x, key_y = jax.random.split(_check.random_key(key, "hsic_stream"))
    state = None
    for x, y in _with_progress(batches) if progress else batches:
        if state is None:
            of_x, origin_x = _drawn(x, "x", kernel_x, estimator, key_x)
            of_y, origin_y = _drawn(y, "y", kernel_y, estimator, key_y)
            options = {"unbiased": estimator.unbiased, "self_dependence": self_dependence}
            state = HSICState.create(of_x.maps, of_y.maps, origin_x=origin_x, origin_y=origin_y, **options)
        state = state.update(x, y)
    if state is None:
        raise ValueError("batches is empty: at least one pair (x, y) is needed.")
    return state


def _drawn(
    values: ArrayLike, name: str, kernel: AbstractKernel | None, estimator: AbstractFeatureBased, key: Key[Array, ""]
) -> tuple[FeatureDraws, Float[Array, " d"] | None]:
    """The features of one variable, and its origin, from the first batch."""
    guard = _check.Guard()
    if kernel is not None:
        check_parameters(kernel, f"kernel_{name}", guard)
    samples, origin = _check.as_samples(values, name, guard), None
    if kernel is None and len(samples) < 4:
        raise ValueError(f"The first batch holds {len(samples)} sample(s) of {name}: a default bandwidth needs 4.")
    if kernel is None or kernel.stationarity != "none":
        origin = center(samples)  # any point near by serves
        samples = _check.samples_about(values, name, origin, guard)
    kernel = Gaussian(median_distance(samples)) if kernel is None else kernel
    return estimator.draw(kernel, guard.on(samples), key), None if origin is None else origin[0]


def _with_progress(batches: Iterable[Any]) -> Iterable[Any]:
    if importlib.util.find_spec("tqdm") is None:
        raise ImportError("progress=True needs tqdm: pip install 'kerneldep[train]'.")
    from tqdm import tqdm

    return tqdm(batches, unit="batch")


class Batches(Iterable[tuple[Any, Any]], Sized):
    """Slices of two long arrays, in order, which are read one at a time; can be gone through again."""

    def __init__(self, x: Any, y: Any, size: int) -> None:
        """See `batches_of`."""
        self._x, self._y, self._size = x, y, size

    def __len__(self) -> int:
        return math.ceil(len(self._x) / self._size)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(self._x), self._size):
            yield self._x[start : start + self._size], self._y[start : start + self._size]


def batches_of(x: Any, y: Any, size: int) -> Batches:
    """Batches of two arrays or memory-mapped files (`np.load(path, mmap_mode="r")`, `np.memmap`), never read whole.

    Args:
        x: n samples; anything with a length and slices.
        y: their partners.
        size: samples a batch; the last may have fewer.

    Raises:
        ValueError: if x and y differ in length, are empty, or `size` is not positive.
    """
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x and y are paired samples, at least one: x has {len(x)}, y has {len(y)}.")
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"size is {size!r}: a positive number of samples is needed.")
    return Batches(x, y, size)
