"""Which permutations a test draws: all, or only those that leave alone what is not to be tested."""

import abc

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from .. import _check


class AbstractPermutations(eqx.Module):
    """A set of permutations under which the law of the data does not change where the null hypothesis holds.

    Where it is a group, the p-value is exact: P(p ≤ α) ≤ α for every n.
    """

    @abc.abstractmethod
    def draw(self, n: int, num: int, generator: np.random.Generator) -> Int[np.ndarray, "num n"]:
        """Independent draws, uniform on the set.

        Raises:
            ValueError: where the set does not fit n samples.
        """

    @abc.abstractmethod
    def count(self, n: int) -> float:
        """How many there are: the expected p-value is not below 1/count."""


class Uniform(AbstractPermutations):
    """All n! permutations: for independent samples."""

    def draw(self, n: int, num: int, generator: np.random.Generator) -> Int[np.ndarray, "num n"]:
        """Fisher–Yates shuffles."""
        return generator.permuted(_identities(n, num), axis=1)

    def count(self, n: int) -> float:
        """All n! of them."""
        return _factorial(n)


class WithinStrata(AbstractPermutations):
    """Permutations that move samples only within their stratum: independence given a discrete variable.

    Args:
        strata: the stratum of each sample [n], numbers or anything that can be told apart.
    """

    strata: Int[np.ndarray, " n"] = eqx.field(
        converter=lambda labels: np.unique(np.asarray(labels), return_inverse=True)[1]
    )

    def __check_init__(self) -> None:
        if self.strata.ndim != 1:
            raise ValueError(f"WithinStrata.strata has shape {self.strata.shape}: one label a sample, [n], is needed.")

    def draw(self, n: int, num: int, generator: np.random.Generator) -> Int[np.ndarray, "num n"]:
        """A shuffle of each stratum."""
        if len(self.strata) != n:
            raise ValueError(f"WithinStrata.strata has {len(self.strata)} labels for n = {n} samples.")
        permutations = _identities(n, num)
        for stratum in range(self.strata.max() + 1):
            (members,) = np.nonzero(self.strata == stratum)
            permutations[:, members] = generator.permuted(permutations[:, members], axis=1)
        return permutations

    def count(self, n: int) -> float:
        """The product of the strata's factorials."""
        return float(np.prod([_factorial(int(size)) for size in np.bincount(self.strata)]))


class WholeBlocks(AbstractPermutations):
    """Permutations of s blocks of ⌊n/s⌋ consecutive samples, whose inner order stays; samples left over stay.

    For samples in clusters of equal size that are not independent within, and as a cheap subgroup for independent
    ones: with features, a permutation then costs s D² instead of n D² (binned sums; Domingo-Enrich, Dwivedi and Mackey
    2025). Blocks of a stationary series are nearly exchangeable where its memory is short beside them. Shuffle
    independent data that are ordered.

    Args:
        num_blocks: s ≥ 2.
    """

    num_blocks: int = eqx.field(static=True, converter=_check.as_index)

    def __check_init__(self) -> None:
        _check.as_count(self.num_blocks, "WholeBlocks.num_blocks", 2)

    def draw(self, n: int, num: int, generator: np.random.Generator) -> Int[np.ndarray, "num n"]:
        """Shuffled blocks."""
        return self.expanded(self.orders(n, num, generator), n)

    def orders(self, n: int, num: int, generator: np.random.Generator) -> Int[np.ndarray, "num s"]:
        """Permutations of the blocks alone."""
        if n < self.num_blocks:
            raise ValueError(f"WholeBlocks.num_blocks is {self.num_blocks}: n = {n} samples make fewer blocks.")
        return generator.permuted(_identities(self.num_blocks, num), axis=1)

    def expanded(self, orders: Int[np.ndarray, "num s"], n: int) -> Int[np.ndarray, "num n"]:
        """What permutations of the blocks do to the samples."""
        size = n // self.num_blocks
        permutations = _identities(n, len(orders))
        inner = orders[:, :, None] * size + np.arange(size, dtype=orders.dtype)
        permutations[:, : self.num_blocks * size] = inner.reshape(len(orders), -1)
        return permutations

    def count(self, n: int) -> float:
        """Those of the blocks, s!."""
        return _factorial(self.num_blocks)


class CircularShifts(AbstractPermutations):
    """Shifts i → i + s mod n with s = 0 or a ≤ s ≤ n − a: for stationary series (Chwialkowski and Gretton 2014).

    They keep the memory of each series and break that between them, but for the seam. The level is right in the limit
    of series long beside their memory. There are few of them: no p-value is much below 1/(n − 2a + 2), since draws are
    independent and include s = 0.

    Args:
        min_shift: a ≥ 1, to be longer than the series' memory.
    """

    min_shift: int = eqx.field(static=True, converter=_check.as_index, default=1)

    def __check_init__(self) -> None:
        _check.as_count(self.min_shift, "CircularShifts.min_shift")

    def draw(self, n: int, num: int, generator: np.random.Generator) -> Int[np.ndarray, "num n"]:
        """Random shifts, s = 0 among them."""
        available = n - 2 * self.min_shift + 1
        if available < 1:
            raise ValueError(f"CircularShifts.min_shift is {self.min_shift}: n = {n} samples leave no shift.")
        drawn = generator.integers(0, available + 1, size=num)
        shifts = np.where(drawn > 0, drawn + self.min_shift - 1, 0)
        return ((np.arange(n) + shifts[:, None]) % n).astype(np.int32)

    def count(self, n: int) -> float:
        """The shifts and the identity."""
        return float(max(n - 2 * self.min_shift + 1, 0) + 1)


def _identities(n: int, num: int) -> Int[np.ndarray, "num n"]:
    return np.tile(np.arange(n, dtype=np.int32), (num, 1))


def _factorial(n: int) -> float:
    return float(np.prod(np.arange(1.0, n + 1))) if n < 171 else np.inf


def permutation_p_value(
    statistic: float, null: Float[np.ndarray, " P"], tolerance: float, stop_after: int | None = None
) -> float:
    """(1 + #{T_π ≥ T})/(1 + P); with `stop_after` = h, h/m where the h-th T_π ≥ T is the m-th drawn.

    Both are valid p-values (for the second Besag and Clifford 1991).

    Args:
        statistic: T.
        null: T_π in the order drawn.
        tolerance: T_π ≥ T − tolerance counts: ties are rounded apart otherwise.
        stop_after: h.
    """
    (exceeding,) = np.nonzero(null >= statistic - tolerance)
    if stop_after is not None and len(exceeding) >= stop_after:
        return stop_after / (int(exceeding[stop_after - 1]) + 1)
    return (1 + len(exceeding)) / (1 + len(null))
