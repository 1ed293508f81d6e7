"""The one list of kernels and the one list of estimators: an item added here is put through every invariant."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

import kerneldep as kd
from kerneldep import kernels
from kerneldep.dependence.exact import AbstractExact
from kerneldep.kernels import AbstractKernel

from .oracles import hsic as hsic_oracle
from .oracles import kernels as oracle
from .thorough import thorough

Point = np.ndarray
PointKernel = Callable[[Point, Point], float]


class Exponential(AbstractKernel):
    """A user's kernel, e^{a·xᵀx′}: nothing but `__call__`."""

    rate: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __call__(self, x: Float[Array, " d"], y: Float[Array, " d"]) -> Scalar:
        return jnp.exp(self.rate * (x @ y))


def network(dim: int) -> eqx.nn.MLP:
    """A smooth network [dim] → [3]."""
    return eqx.nn.MLP(dim, 3, 4, 1, activation=jnp.tanh, key=jax.random.key(7))


def run(mlp: eqx.nn.MLP, x: Point) -> Point:
    """The network in NumPy."""
    (first, second) = ((np.asarray(layer.weight), np.asarray(layer.bias)) for layer in mlp.layers)
    return second[0] @ np.tanh(first[0] @ x + first[1]) + second[1]


@dataclass(frozen=True)
class KernelCase:
    """One kernel.

    Attributes:
        name: for test ids.
        make: the kernel for points [dim], made in the test's lane.
        reference: the oracle's function of two points.
        smooth: whether k is twice differentiable where two points coincide.
        curvature: −∂²k/∂x_a² where two points coincide, where a closed form is known.
        categories: whether it compares labels: data are then small integers, and gradients to them 0.
        features: "random" (Fourier), "exact", or None.
        stationarity: what the kernel must say of itself.
        trainable: whether it has parameters.
    """

    name: str
    make: Callable[[int], AbstractKernel]
    reference: Callable[[AbstractKernel], PointKernel]
    smooth: bool = True
    curvature: float | None = None
    categories: bool = False
    features: str | None = None
    stationarity: str = "none"
    trainable: bool = True

    def __str__(self) -> str:
        return self.name

    def samples(self, n: int, dim: int, seed: int = 0, *, ties: bool = True) -> np.ndarray:
        """Data [n, dim] of unit scale whatever the dimension.

        With ties one row comes twice and one is zero; without, no two samples are close in any coordinate.
        """
        rng = np.random.default_rng([seed, n, dim])
        if self.categories:
            return rng.integers(0, 3, size=(n, dim)).astype(float)
        if not ties:
            ranks = rng.permuted(np.tile(np.arange(n), (dim, 1)), axis=1).T - n / 2
            return (ranks + rng.uniform(0.2, 0.8, size=(n, dim))) * 4 / n / dim**0.5
        x = rng.normal(size=(n, dim)) * 1.3 / dim**0.5
        x[3] = x[2]
        x[5] = 0
        return x


def fixed(function: PointKernel, **parameters: Any) -> Callable[[AbstractKernel], PointKernel]:
    return lambda _: partial(function, **parameters)


def lengths(dim: int) -> np.ndarray:
    """A length scale for every coordinate, from 1.2 on."""
    return 1.2 + 0.1 * np.arange(dim)


def relevance_reference(kernel: Any) -> PointKernel:
    inner = partial(oracle.inverse_multiquadric, scale=0.9)
    return partial(oracle.automatic_relevance, kernel=inner, length_scales=np.asarray(kernel.length_scales))


def per_coordinate_reference(kernel: Any) -> PointKernel:
    each = [partial(oracle.matern, length_scale=float(l), smoothness=1.5) for l in kernel.kernel.length_scale]
    return partial(oracle.per_coordinate, kernels=each)


def deep_reference(kernel: Any) -> PointKernel:
    return lambda x, y: oracle.gaussian(run(kernel.network, x), run(kernel.network, y), 0.9)


def nested_reference(kernel: Any) -> PointKernel:
    def evaluate(x: Point, y: Point) -> float:
        gx, gy = run(kernel.kernel.second.network, x), run(kernel.kernel.second.network, y)
        inner = oracle.inverse_multiquadric(gx, gy, 1.2) + 0.3 * oracle.cosine(gx, gy)
        return 0.7 * (oracle.matern(x, y, 1.1, 2.5) * oracle.gaussian(x, y, 2.0) + inner)

    return evaluate


KERNELS: tuple[KernelCase, ...] = (
    KernelCase(
        "gaussian",
        lambda _: kernels.Gaussian(0.8),
        fixed(oracle.gaussian, bandwidth=0.8),
        curvature=1 / 0.8**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "laplace_l2",
        lambda _: kernels.Laplace(1.3),
        fixed(oracle.laplace, length_scale=1.3),
        smooth=False,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "laplace_l1",
        lambda _: kernels.Laplace(1.3, "l1"),
        fixed(oracle.laplace, length_scale=1.3, norm="l1"),
        smooth=False,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "matern_12",
        lambda _: kernels.Matern(1.2, 0.5),
        fixed(oracle.matern, length_scale=1.2, smoothness=0.5),
        smooth=False,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "matern_32",
        lambda _: kernels.Matern(1.2, 1.5),
        fixed(oracle.matern, length_scale=1.2, smoothness=1.5),
        curvature=3 / 1.2**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "matern_52",
        lambda _: kernels.Matern(1.2),
        fixed(oracle.matern, length_scale=1.2, smoothness=2.5),
        curvature=5 / 3 / 1.2**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "inverse_multiquadric",
        lambda _: kernels.InverseMultiquadric(0.7),
        fixed(oracle.inverse_multiquadric, scale=0.7),
        curvature=1 / 0.7**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "rational_quadratic",
        lambda _: kernels.RationalQuadratic(1.1, 1.7),
        fixed(oracle.rational_quadratic, scale=1.1, exponent=1.7),
        curvature=2 * 1.7 / 1.1**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "linear",
        lambda _: kernels.Linear(),
        fixed(oracle.linear),
        curvature=0.0,
        features="exact",
        stationarity="intrinsic",
        trainable=False,
    ),
    KernelCase(
        "polynomial",
        lambda _: kernels.Polynomial(3, 0.5, 1.0),
        fixed(oracle.polynomial, degree=3, scale=0.5, offset=1.0),
    ),
    KernelCase("cosine", lambda _: kernels.Cosine(), fixed(oracle.cosine), features="exact", trainable=False),
    KernelCase(
        "label",
        lambda _: kernels.Label(),
        fixed(oracle.label, same=1.0, different=0.0),
        categories=True,
        features="exact",
    ),
    KernelCase(
        "label_offset",
        lambda _: kernels.Label(2.0, 0.5),
        fixed(oracle.label, same=2.0, different=0.5),
        categories=True,
        features="exact",
    ),
    KernelCase(
        "distance",
        lambda _: kernels.Distance(),
        fixed(oracle.distance, exponent=1.0),
        smooth=False,
        stationarity="intrinsic",
        trainable=False,
    ),
    KernelCase(
        "distance_1.5",
        lambda _: kernels.Distance(1.5),
        fixed(oracle.distance, exponent=1.5),
        smooth=False,
        stationarity="intrinsic",
        trainable=False,
    ),
    KernelCase(
        "distance_2",
        lambda _: kernels.Distance(2.0),
        fixed(oracle.distance, exponent=2.0),
        curvature=0.0,
        stationarity="intrinsic",
        trainable=False,
    ),
    KernelCase(
        "sum",
        lambda _: kernels.Gaussian(0.8) + kernels.Linear(),
        lambda _: lambda x, y: oracle.gaussian(x, y, 0.8) + oracle.linear(x, y),
        curvature=1 / 0.8**2,
        features="random",
        stationarity="intrinsic",
    ),
    KernelCase(
        "product",
        lambda _: kernels.Gaussian(1.4) * kernels.Matern(1.5, 1.5),
        lambda _: lambda x, y: oracle.gaussian(x, y, 1.4) * oracle.matern(x, y, 1.5, 1.5),
        curvature=1 / 1.4**2 + 3 / 1.5**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "scaled",
        lambda _: 2.5 * kernels.InverseMultiquadric(1.1),
        lambda _: lambda x, y: 2.5 * oracle.inverse_multiquadric(x, y, 1.1),
        curvature=2.5 / 1.1**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "deep", lambda dim: kernels.Deep(network(dim), kernels.Gaussian(0.9)), deep_reference, features="random"
    ),
    KernelCase(
        "automatic_relevance",
        lambda dim: kernels.AutomaticRelevance(kernels.InverseMultiquadric(0.9), lengths(dim)),
        relevance_reference,
        curvature=1 / (0.9 * 1.2) ** 2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "per_coordinate",
        lambda dim: kernels.PerCoordinate([kernels.Matern(l, 1.5) for l in lengths(dim)]),
        per_coordinate_reference,
        curvature=3 / 1.2**2,
        features="random",
        stationarity="strict",
    ),
    KernelCase(
        "nested",
        lambda dim: (
            (
                kernels.Matern(1.1) * kernels.Gaussian(2.0)
                + kernels.Deep(network(dim), kernels.InverseMultiquadric(1.2) + kernels.Cosine() * 0.3)
            )
            * 0.7
        ),
        nested_reference,
        features="random",
    ),
    KernelCase(
        "user",
        lambda _: Exponential(0.6),
        lambda kernel: lambda x, y: float(np.exp(float(kernel.rate) * oracle.dot(x, y))),
    ),
)


@dataclass(frozen=True)
class EstimatorCase:
    """One estimator.

    Attributes:
        name: for test ids.
        estimator: the estimator itself.
        of_grams: the oracle's function of two Gram matrices that it computes, on its own Grams if it is random.
        exchangeable: whether the order of the samples does not matter.
        random: whether it needs a key.
        unbiased: whether its mean is HSIC.
    """

    name: str
    estimator: kd.dependence.AbstractEstimator
    of_grams: Callable[[np.ndarray, np.ndarray], float]
    exchangeable: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def random(self) -> bool:
        return self.estimator.random

    @property
    def unbiased(self) -> bool:
        return self.of_grams is not hsic_oracle.hsic_biased

    def key(self, seed: int = 0) -> Array | None:
        """A fresh key where one is needed: key-reuse checks forbid handing one in twice."""
        return jax.random.key(seed) if self.random else None


ESTIMATORS: tuple[EstimatorCase, ...] = (
    EstimatorCase("biased", kd.Biased(), hsic_oracle.hsic_biased),
    EstimatorCase("unbiased", kd.Unbiased(), hsic_oracle.hsic_unbiased),
    EstimatorCase("block", kd.Block(6), partial(hsic_oracle.hsic_block, block=6), exchangeable=False),
    EstimatorCase(
        "incomplete", kd.Incomplete(2), partial(hsic_oracle.hsic_incomplete, num_offsets=2), exchangeable=False
    ),
    EstimatorCase("fourier", kd.RandomFourier(32), hsic_oracle.hsic_biased),
    EstimatorCase("fourier_orthogonal", kd.RandomFourier(32, orthogonal=True), hsic_oracle.hsic_biased),
    EstimatorCase("fourier_quasi", kd.RandomFourier(32, quasi=True), hsic_oracle.hsic_biased),
    EstimatorCase("fourier_unbiased", kd.RandomFourier(32, unbiased=True), hsic_oracle.hsic_unbiased),
    # As many landmarks as most tests have samples: with fewer, the order of the samples decides which they are.
    EstimatorCase("nystrom", kd.Nystrom(12), hsic_oracle.hsic_biased),
)

EXACT = tuple(case for case in ESTIMATORS if isinstance(case.estimator, AbstractExact))
RANDOM = tuple(case for case in ESTIMATORS if case.random)

VARIANTS = ("fourier_orthogonal", "fourier_quasi", "fourier_unbiased")
"""Of one estimator, that differ in what `prepare` draws alone."""

CROSSED = thorough(ESTIMATORS, lambda case: case.name not in VARIANTS)
"""All, to be crossed with what does not depend on what is drawn: variants behind `slow`."""
