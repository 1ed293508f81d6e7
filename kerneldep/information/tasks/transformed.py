"""A task seen through injective maps."""

from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array, Float, Key

from .base import AbstractTask

Map = Callable[[Float[Array, "n d"]], Float[Array, "n e"]]


def identity(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """X as it is."""
    return x


class Transformed(AbstractTask):
    """(f(X), g(Y)) for (X, Y) of another task, f and g injective: I(f(X); g(Y)) = I(X; Y).

    That f and g are injective is the caller's promise; those of `kerneldep.information.tasks.maps` are. HSIC, and what
    a given critic reaches, do change.

    Args:
        task: the task of X and Y.
        map_x: f, of samples [n, dx].
        map_y: g, of samples [n, dy].
        label: its name.
    """

    task: AbstractTask
    map_x: Map
    map_y: Map = identity
    label: str = eqx.field(static=True, default="transformed")

    @property
    def name(self) -> str:
        """As given."""
        return self.label

    @property
    def mutual_information(self) -> float:
        """That of the original task, in nats."""
        return self.task.mutual_information

    def draw(self, key: Key[Array, ""], n: int) -> tuple[Float[Array, "n dx"], Float[Array, "n dy"]]:
        """The task's pairs, mapped."""
        x, y = self.task.draw(key, n)
        return self.map_x(x), self.map_y(y)
