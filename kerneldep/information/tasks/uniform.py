"""A uniform signal in uniform noise: bounded support, where densities jump."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ..._check import ArrayLike
from .base import AbstractDensityTask, paired_samples


class AdditiveUniform(AbstractDensityTask):
    """X ~ U(0, 1), Y = X + N with N ~ U(−ε, ε).

    I(X; Y) = ε − log 2ε for ε ≤ ½, and 1/(4ε) for ε ≥ ½.

    Args:
        noise: ε > 0.

    Source: Czyż et al. (2023).
    """

    noise: float = eqx.field(converter=float, static=True)

    def __check_init__(self) -> None:
        if not (self.noise > 0 and math.isfinite(self.noise)):
            raise ValueError(f"noise is {self.noise}: a positive number is needed.")

    @property
    def name(self) -> str:
        """For example "additive-uniform-0.75"."""
        return f"additive-uniform-{self.noise:g}"

    @property
    def mutual_information(self) -> float:
        """In nats."""
        return self.noise - math.log(2 * self.noise) if self.noise <= 0.5 else 0.25 / self.noise

    def draw(self, key: Key[Array, ""], n: int) -> tuple[Float[Array, "n 1"], Float[Array, "n 1"]]:
        """Signal, and signal with noise."""
        key_x, key_noise = jax.random.split(key)
        x = jax.random.uniform(key_x, (n, 1))
        return x, x + jax.random.uniform(key_noise, (n, 1), minval=-self.noise, maxval=self.noise)

    def critic(self, x: ArrayLike, y: ArrayLike) -> Float[Array, "n m"]:
        """−log of the length of the overlap of (y − ε, y + ε) with (0, 1), where |y − x| ≤ ε; else −∞."""
        return _uniform_critic(self, *paired_samples(x, y, 1, 1))


@eqx.filter_jit
def _uniform_critic(task: AdditiveUniform, x: Float[Array, "n 1"], y: Float[Array, "m 1"]) -> Float[Array, "n m"]:
    y = y[:, 0]
    # Rounding of y = x + N must not put a pair that was drawn outside of the support.
    slack = 4 * jnp.finfo(y.dtype).eps * (1 + task.noise)
    possible = jnp.abs(y[None, :] - x) <= task.noise + slack
    overlap = jnp.minimum(y + task.noise, 1) - jnp.maximum(y - task.noise, 0)
    return jnp.where(possible, -jnp.log(jnp.maximum(overlap, slack))[None, :], -jnp.inf)
