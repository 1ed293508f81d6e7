"""Permutations that move samples only to near neighbours."""

import numpy as np
import scipy.spatial
from jaxtyping import Float, Int


def nearest(z: Float[np.ndarray, "n f"], num: int, generator: np.random.Generator) -> Int[np.ndarray, "n num"]:
    """The nearest others of each sample; of equally near ones, any."""
    n = len(z)
    order = generator.permutation(n)  # so that no order of the data decides among ties
    found = np.asarray(scipy.spatial.KDTree(z[order]).query(z[order], num + 1)[1])
    own = found == np.arange(n)[:, None]
    own[~own.any(1), -1] = True  # more equal points than neighbours, and not itself among those found
    neighbours = np.empty((n, num), np.int32)
    neighbours[order] = order[found[~own].reshape(n, num)]
    return neighbours


def exchanges(neighbours: Int[np.ndarray, "n k"], num: int, generator: np.random.Generator) -> Int[np.ndarray, "num n"]:
    """Permutations that exchange samples in pairs of neighbours, at random as many as come about.

    Sample by sample in random order, each that is still free is paired with a random free one of its neighbours, if
    there is one. Every such permutation is its own inverse, so that going there is as likely as coming back.

    Args:
        neighbours: of each sample.
        num: how many permutations.
        generator: draws orders and partners.
    """
    n = len(neighbours)
    rows = np.arange(num)
    permutations = np.tile(np.arange(n, dtype=np.int32), (num, 1))
    orders = generator.permuted(permutations, axis=1)
    free = np.ones((num, n), bool)
    for turn in range(n):
        sample = orders[:, turn]
        partners = neighbours[sample]
        preference = np.where(free[rows[:, None], partners], generator.random(partners.shape), -1.0)
        chosen = preference.argmax(1)
        found = (preference[rows, chosen] >= 0) & free[rows, sample]
        at, first, second = rows[found], sample[found], partners[rows, chosen][found]
        permutations[at, first], permutations[at, second] = second, first
        free[at, first] = free[at, second] = False
    return permutations
