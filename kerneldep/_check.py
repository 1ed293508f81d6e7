"""The one place where public input is validated and made an array.

Concrete input is checked eagerly and raises `TypeError` or `ValueError`. Traced input (under `jit`, `grad`, `vmap`)
is checked by `equinox.error_if`, which raises a `RuntimeError` when the compiled function runs; set the environment
variable `KERNELDEP_CHECKS=0` before the import to turn these run-time checks off (a computation that holds one
cannot use JAX's persistent compilation cache). Shapes and dtypes are always known and always checked.
"""

import numbers
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.core import Tracer
from jaxtyping import Array, Float

ArrayLike = jax.typing.ArrayLike | npt.ArrayLike
"""What public functions take as numbers: JAX and NumPy arrays, scalars, nested lists, data frames."""

TRACED_CHECKS = os.environ.get("KERNELDEP_CHECKS", "1") != "0"


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is an abstract value of a transformation in progress."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def as_real(values: ArrayLike, name: str) -> np.ndarray | Array:
    """`values` as a real array; Booleans and integers count as numbers.

    Raises:
        TypeError: for complex, text, object or missing input; the message names the argument.
    """
    if values is None:
        raise TypeError(f"{name} is None: an array of numbers is needed.")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise TypeError(f"{name} is a masked array with masked entries: drop or impute those rows first.")
    array = values if isinstance(values, jax.Array) else np.asarray(values)
    if (
        isinstance(array, np.ndarray)
        and array.dtype == object
        and all(isinstance(value, numbers.Real | np.bool_) for value in array.flat)
    ):
        array = array.astype(float)  # a data frame with numbers of several kinds
    if array.dtype.kind in "mM":
        raise TypeError(f"{name} holds dates or durations ({array.dtype}): pass numbers, as of days since the first.")
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(
            f"{name} is complex ({array.dtype}): pass real numbers, e.g. real and imaginary parts as columns."
        )
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        raise TypeError(
            f"{name} has dtype {array.dtype}: numbers are needed. For categories pass integer codes, "
            "np.unique(values, return_inverse=True)[1], and the Label kernel."
        )
    return array


def as_float(array: np.ndarray | Array, name: str, *, centred: bool = False) -> Array:
    """A floating-point JAX array: half precision is widened, wider input narrowed to JAX's default float.

    With `centred`, NumPy input is shifted to its column medians before it is narrowed, so that an offset costs no
    digits (only where the result does not depend on a translation).

    Raises:
        ValueError: if integers cannot be told apart, or numbers overflow, in JAX's float.
    """
    native = jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize <= 8  # JAX has no long double
    own = array.dtype.newbyteorder("=") if native else float
    dtype = jnp.promote_types(jax.dtypes.canonicalize_dtype(own), jnp.float32)
    if isinstance(array, jax.Array):
        return array.astype(dtype)
    if array.size and centred and np.issubdtype(array.dtype, np.number):
        wide = array.astype(np.longdouble if array.dtype.kind in "iu" else np.promote_types(array.dtype, np.float64))
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = wide - np.median(wide[:: -(-len(wide) // 64)], axis=0)
            narrow = shifted.astype(dtype)
        _check_underflow(shifted, narrow, name)
        if np.isfinite(narrow).all() or not np.isfinite(wide).all():
            return jnp.asarray(narrow)
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    if array.dtype.kind in "iu" and array.size and (narrow.astype(np.longdouble) != array.astype(np.longdouble)).any():
        raise ValueError(
            f"{name} holds integers that {dtype} cannot tell apart: enable jax_enable_x64, or pass small codes, "
            "np.unique(values, return_inverse=True)[1]."
        )
    if array.dtype.kind == "f" and np.isinf(narrow).any() and not np.isinf(array).any():
        raise ValueError(f"{name} overflows {dtype}: rescale it, or enable jax_enable_x64.")
    _check_underflow(array, narrow, name)
    return jnp.asarray(narrow)


def _check_underflow(wide: np.ndarray, narrow: np.ndarray, name: str) -> None:
    if wide.dtype.kind == "f" and narrow.size and not narrow.any() and wide.any():
        raise ValueError(f"{name} vanishes in {narrow.dtype}: rescale it, or enable jax_enable_x64.")


def as_index(value: Any) -> Any:
    """A Python integer of any kind of integer, such as NumPy's; anything else as it is, to be refused by name."""
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else value


class Guard:
    """Collects what must hold of a public call's input: concrete conditions raise at once, traced ones in one go.

    A traced condition is remembered; `on(value)` returns `value` with a single run-time check of all of them, which
    names the first that failed. Use the returned value: the check belongs to it, and is dropped with it.
    """

    def __init__(self) -> None:
        """Start with nothing to check."""
        self._pending: list[tuple[Array, str]] = []

    def require(self, condition: ArrayLike, message: str) -> None:
        """Raise `ValueError(message)` if `condition` is concrete and false; remember it if it is traced."""
        if is_traced(condition):
            self._pending.append((jnp.asarray(condition), message))
        elif not bool(condition):
            raise ValueError(message)

    def on(self, value: Array) -> Array:
        """`value`, with the traced conditions attached as one run-time check."""
        if not (self._pending and TRACED_CHECKS):
            return value
        failed = ~jnp.stack([condition for condition, _ in self._pending])
        return eqx.branched_error_if(value, failed.any(), jnp.argmax(failed), [message for _, message in self._pending])


def as_samples(
    values: ArrayLike, name: str, guard: Guard | None = None, *, centred: bool = False
) -> Float[Array, "n d"]:
    """Samples, one a row: [n] becomes [n, 1].

    Args:
        values: array, list or data frame of n samples, [n] or [n, d]; Booleans and integers count as numbers.
        name: the argument's name, for messages.
        guard: where the check for NaN and infinity goes; without one, only dtype and shape are checked.
        centred: whether columns may be shifted (see `as_float`).

    Raises:
        TypeError: complex or non-numeric input.
        ValueError: wrong rank, no samples, no columns, NaN or infinite values.
    """
    array = as_real(values, name)
    if array.ndim not in (1, 2):
        hint = "a scalar is no sample" if array.ndim == 0 else "flatten each sample first: x.reshape(len(x), -1)"
        raise ValueError(f"{name} has shape {array.shape}: samples are [n] or [n, d]; {hint}.")
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: shape {array.shape}.")
    samples = as_float(array.reshape(array.shape[0], -1), name, centred=centred)
    return samples if guard is None else _finite(samples, name, guard)


def _finite(array: Array, name: str, guard: Guard) -> Array:
    guard.require(jnp.isfinite(array).all(), f"{name} holds NaN or infinite values: drop or impute those rows first.")
    return array


def as_point(values: ArrayLike, name: str) -> Float[Array, " d"]:
    """One point: a scalar becomes [1]."""
    array = as_real(values, name)
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}: a kernel compares two points [d]; use `gram` for samples.")
    return as_float(array.reshape(-1), name)


def as_views(values: ArrayLike, name: str, guard: Guard, *, min_images: int = 2) -> Float[Array, "M B d"]:
    """Views [M, B, d]: M ≥ 2 views of each of B images.

    Raises:
        TypeError: complex or non-numeric input.
        ValueError: wrong rank, M = 1, too few images, NaN or infinite values.
    """
    array = as_real(values, name)
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{name} has shape {array.shape}: [M, B, d] is needed (views, images, dimension), none of them 0."
        )
    if array.shape[0] < 2:
        raise ValueError(f"{name} has M = 1 view of each image: dependence on identity needs at least two.")
    if array.shape[1] < min_images:
        raise ValueError(f"{name} has B = {array.shape[1]} image(s): at least {min_images} are needed.")
    return _finite(as_float(array, name), name, guard)


def samples_about(
    values: ArrayLike, name: str, origin: Float[Array, "1 d"] | None, guard: Guard | None = None
) -> Float[Array, "n d"]:
    """`as_samples` less an origin, subtracted before double precision is narrowed.

    Raises:
        ValueError: as `as_samples`, or if the dimension is not the origin's.
    """
    array = as_real(values, name)
    if origin is None:
        return as_samples(array, name, guard)
    shape = array.shape if array.ndim == 2 else (len(array), 1) if array.ndim == 1 else ()
    if shape and shape[1] != origin.shape[1]:
        raise ValueError(f"{name} has dimension {shape[1]}: {origin.shape[1]} is needed.")
    if isinstance(array, jax.Array) or not shape or is_traced(origin):
        return as_samples(array, name, guard) - origin
    wide = np.promote_types(array.dtype, np.float64)
    return as_samples(array.reshape(shape).astype(wide) - np.asarray(origin, wide), name, guard)


def as_count(value: Any, name: str, least: int = 1) -> int:
    """An integer of any kind, at least `least`.

    Raises:
        ValueError: anything else; the message names the argument.
    """
    value = as_index(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}: an integer ≥ {least} is needed.")
    return value


def as_number(value: Any, name: str, holds: Callable[[float], bool], needed: str) -> float:
    """A number known before compilation, for which `holds`.

    Raises:
        ValueError: anything else; the message says what is `needed`.
    """
    scalar = isinstance(value, numbers.Real) or (isinstance(value, np.ndarray | jax.Array) and value.ndim == 0)
    if not scalar or is_traced(value) or not holds(float(value)):
        raise ValueError(f"{name} is {value!r}: {needed} is needed.")
    return float(value)


def as_positive(value: Any, name: str) -> float:
    """A positive, finite number known before compilation.

    Raises:
        ValueError: anything else.
    """
    return as_number(value, name, lambda number: 0 < number < float("inf"), "a positive, finite number")


def as_scalar(value: ArrayLike, name: str, dtype: jnp.dtype, guard: Guard) -> Array:
    """A finite scalar of a given dtype, traced or not.

    Raises:
        TypeError: for what is no number.
        ValueError: any other shape, NaN or infinite.
    """
    array = as_float(as_real(value, name), name)
    if array.ndim:
        raise ValueError(f"{name} has shape {array.shape}: a scalar is needed.")
    array = array.astype(dtype)
    guard.require(jnp.isfinite(array), f"{name} must be finite.")
    return array


def same_length(x: Array, y: Array, minimum: int, why: str) -> None:
    """Raise unless x and y hold equally many samples, at least `minimum`."""
    if len(x) != len(y):
        raise ValueError(f"x and y are paired samples: x has {len(x)}, y has {len(y)}.")
    if len(x) < minimum:
        raise ValueError(f"x and y hold n = {len(x)} samples: {why} needs n ≥ {minimum}.")


def random_key(key: Any, why: str) -> Array:
    """`key`, required to be one JAX PRNG key.

    Raises:
        TypeError: if it is no key.
        ValueError: if it is missing. There is no default key: randomness is always the caller's.
    """
    if key is None:
        raise ValueError(f"key is missing: {why} is random; pass key=jax.random.key(seed).")
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    raw = isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.ndim == 1
    if not (raw or (typed and key.ndim == 0)):
        raise TypeError(f"key is {key!r}: {why} needs one JAX key, jax.random.key(seed).")
    return key
