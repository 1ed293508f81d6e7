"""What a task is: a joint law of X and Y that can be sampled and whose mutual information is known."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, Key

from ... import _check
from ..._check import ArrayLike


class AbstractTask(eqx.Module):
    """A joint law of X and Y whose mutual information is known exactly."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """For tables and test ids."""

    @property
    @abc.abstractmethod
    def mutual_information(self) -> float:
        """I(X; Y) in nats, in double precision whatever JAX's float is."""

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""], n: int) -> tuple[Float[Array, "n dx"], Float[Array, "n dy"]]:
        """`sample` without its checks."""

    def sample(self, key: Key[Array, ""], n: int) -> tuple[Float[Array, "n dx"], Float[Array, "n dy"]]:
        """N independent pairs in JAX's default float; the same key gives the same pairs.

        Raises:
            TypeError: n or the key is of the wrong kind.
            ValueError: n < 1, or no key.
        """
        n = _check.as_index(n)
        if not isinstance(n, int) or isinstance(n, bool):
            raise TypeError(f"n is {n!r}: a number of pairs is needed.")
        if n < 1:
            raise ValueError(f"n is {n}: at least one pair is needed.")
        return self.draw(_check.random_key(key, "a sample"), n)


class AbstractDensityTask(AbstractTask):
    """A task whose density ratio is known too, so that bounds can be evaluated at their best critic."""

    @abc.abstractmethod
    def critic(self, x: ArrayLike, y: ArrayLike) -> Float[Array, "n m"]:
        """The exact critic log p(y_j | x_i)/p(y_j), in nats, for every pair of samples x [n, dx] and y [m, dy].

        −∞ where x_i and y_j cannot occur together.
        """


def paired_samples(
    x: ArrayLike, y: ArrayLike, dim_x: int, dim_y: int
) -> tuple[Float[Array, "n dx"], Float[Array, "m dy"]]:
    """Checked arguments of a critic.

    Raises:
        TypeError: complex or non-numeric samples.
        ValueError: NaN or infinite values, or dimensions that are not the task's.
    """
    guard = _check.Guard()
    x, y = _check.as_samples(x, "x", guard), _check.as_samples(y, "y", guard)
    if (x.shape[1], y.shape[1]) != (dim_x, dim_y):
        raise ValueError(f"x has dimension {x.shape[1]}, y has {y.shape[1]}: the task's are {dim_x} and {dim_y}.")
    return guard.on(x), y
