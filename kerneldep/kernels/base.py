"""What a kernel is: a similarity of two points, prepared once per sample and evaluated a tile at a time."""

import abc
import dataclasses
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _check
from .._check import ArrayLike

Stationarity = Literal["strict", "intrinsic", "none"]


def parameter(value: ArrayLike) -> Array:
    """A kernel parameter as a floating-point array, so that it can be trained."""
    _check.as_real(value, "A kernel parameter")
    array = jnp.asarray(value)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


class AbstractKernel(eqx.Module):
    """A positive (semi-)definite kernel k(x, x′).

    A kernel of your own supplies only `__call__`. The other methods have defaults built on it, and the kernels here
    replace them where something faster or more precise is known:

    - `prepare(x)` does once per sample what need not be done once per pair (scaling, norms, running a network) and
      returns a pytree whose leaves have the n samples as leading axis;
    - `pairwise(px, py)` evaluates a tile of the Gram matrix from two such pytrees.

    Kernels add, multiply and scale: `k1 + k2`, `k1 * k2`, `2.0 * k`. Parameters are leaves of the pytree: gradients
    reach them, also through `kerneldep.hsic`.

    Example:
        >>> class Exponential(AbstractKernel):
        ...     def __call__(self, x, y):
        ...         return jnp.exp(x @ y)
        >>> Exponential().gram([[0.0], [1.0]]).tolist()
        [[1.0, 1.0], [1.0, 2.7182]]
    """

    positive: ClassVar[tuple[str, ...]] = ()
    """Names of parameters that must be positive."""

    per_coordinate: ClassVar[tuple[str, ...]] = ()
    """Names of those among them that are vectors, one value a coordinate; the others are scalars."""

    def __check_init__(self) -> None:
        for name in self.positive:
            value, needed = getattr(self, name), int(name in self.per_coordinate)
            if value.ndim != needed or not value.size:
                shape = "a vector [d]" if needed else "a scalar"
                raise ValueError(f"{type(self).__name__}.{name} has shape {value.shape}: {shape} is needed.")
        check_parameters(self, type(self).__name__, _check.Guard())

    @abc.abstractmethod
    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """The kernel of two points [d]."""

    @property
    def stationarity(self) -> Stationarity:
        """How k reacts to a translation of both points.

        "strict": k(x + c, y + c) = k(x, y). "intrinsic": equal up to terms u(x) + u(y), which centring removes, so
        that HSIC does not change. "none": nothing is promised.
        """
        return "none"

    def prepare(self, x: Float[Array, "n d"]) -> PyTree[Array]:
        """What `pairwise` needs of each sample; every leaf has leading axis n."""
        return x

    def pairwise(self, px: PyTree[Array], py: PyTree[Array]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix from prepared samples."""
        return jax.vmap(lambda x: jax.vmap(lambda y: self(x, y))(py))(px)

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """k(x_i, x_i) for each sample, without the Gram matrix."""
        return jax.vmap(lambda point: self(point, point))(_check.as_samples(x, "x"))

    def gram(self, x: ArrayLike, y: ArrayLike | None = None) -> Float[Array, "n m"]:
        """The dense Gram matrix [k(x_i, y_j)], with y = x if it is not given.

        Args:
            x: samples, [n] or [n, d].
            y: samples, [m] or [m, d].

        Raises:
            ValueError: if x and y differ in dimension, or hold NaN or infinite values.
        """
        guard = _check.Guard()
        check_parameters(self, "kernel", guard)
        x = _check.as_samples(x, "x", guard)
        if y is None:
            return _compiled_gram(self, guard.on(x), None)
        y = _check.as_samples(y, "y", guard)
        if x.shape[1] != y.shape[1]:
            raise ValueError(
                f"x has dimension {x.shape[1]}, y has {y.shape[1]}: a kernel compares points of one space."
            )
        return _compiled_gram(self, guard.on(x), y)

    def __add__(self, other: "AbstractKernel") -> "AbstractKernel":
        from .composed import Sum

        return Sum(self, other) if isinstance(other, AbstractKernel) else NotImplemented

    def __mul__(self, other: "AbstractKernel | ArrayLike") -> "AbstractKernel":
        from .composed import Product, Scaled

        return Product(self, other) if isinstance(other, AbstractKernel) else Scaled(self, other)

    def __rmul__(self, other: ArrayLike) -> "AbstractKernel":
        return self * other


def dense_gram(
    kernel: AbstractKernel, x: Float[Array, "n d"], y: Float[Array, "m d"] | None = None
) -> Float[Array, "n m"]:
    """`kernel.gram` without its checks, for use inside compiled code."""
    if y is None:
        prepared = kernel.prepare(x)
        return kernel.pairwise(prepared, prepared)
    # Prepared together, so that data-dependent choices (the centre distances are measured from) agree.
    prepared = kernel.prepare(jnp.concatenate([x, y]))
    px = jax.tree.map(lambda leaf: leaf[: len(x)], prepared)
    py = jax.tree.map(lambda leaf: leaf[len(x) :], prepared)
    return kernel.pairwise(px, py)


_compiled_gram = eqx.filter_jit(dense_gram)


def check_parameters(kernel: Any, name: str, guard: _check.Guard) -> None:
    """Require finite parameters, positive where the kernel's class says so; parts of composed kernels too.

    Raises:
        TypeError: if it is no kernel.
        ValueError: naming the kernel and the parameter.
    """
    if not isinstance(kernel, AbstractKernel):
        raise TypeError(
            f"{name} is {kernel!r}: a kernel from kerneldep.kernels (or a subclass of AbstractKernel) is needed."
        )
    for part in _modules(kernel):
        for field in dataclasses.fields(part):
            value, owner = getattr(part, field.name), f"{type(part).__name__}.{field.name}"
            if field.name in part.positive:
                positive = (jnp.isfinite(value) & (value > 0)).all()
                guard.require(positive, f"{owner} must be positive and finite ({name}).")
            elif eqx.is_inexact_array(value):
                guard.require(jnp.isfinite(value).all(), f"{owner} must be finite ({name}).")


def _modules(kernel: AbstractKernel) -> list[AbstractKernel]:
    """The kernel and every kernel inside it."""
    children = jax.tree.leaves(kernel, is_leaf=lambda node: isinstance(node, AbstractKernel) and node is not kernel)
    return [kernel] + [part for child in children if isinstance(child, AbstractKernel) for part in _modules(child)]
