"""Each bound against loops, its identities, and its side of I, exactly, over every batch of a small joint law."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep import information
from kerneldep.information import BOUNDS, get_bound, infonce, interpolated, mine, nwj, tuba
from kerneldep.information.contrastive import log_sums_without_row

from ..oracles import information as oracle

COLUMN = np.array([0.3, -1.2, 0.0, 2.0, -0.4])
"""A baseline for each of five columns."""

CASES = {
    "infonce": {},
    "nwj": {},
    "tuba": {"log_baseline": COLUMN},
    "jensen_shannon": {},
    "jensen_shannon_objective": {},
    "donsker_varadhan": {},
    "smile": {"clip": 0.7},
    "interpolated": {"alpha": 0.3, "log_baseline": COLUMN},
    "club": {},
    "leave_one_out": {},
}


def every_bound(scores):
    """All bounds of one matrix [5, 5]."""
    return {name: getattr(information, name)(scores, **options) for name, options in CASES.items()}


def all_scores(scores):
    """Values, and the gradient of each bound."""
    return every_bound(scores), jax.jacrev(every_bound)(scores)


@pytest.fixture(scope="module")
def compiled():
    return jax.jit(all_scores)


@pytest.mark.parametrize("scale", [0.1, 3.0, 20.0])
def test_every_bound_is_the_loop(x64, compiled, scale):
    scores = scale * np.random.default_rng(int(scale)).normal(size=(5, 5))
    values, _ = compiled(scores)
    for name, options in CASES.items():
        expected = getattr(oracle, name)(scores, **options)
        assert float(values[name]) == pytest.approx(expected, rel=1e-10, abs=1e-10), name


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((5, 5)),  # collapse
        1e4 * np.eye(5),  # e^f overflows where no bound but the joint mean sees it
        -1e4 * (1 - np.eye(5)),
        np.where(np.tri(5) > 0, 2.0, -np.inf),
        1e4 + np.random.default_rng(0).normal(size=(5, 5)),
    ],
    ids=["constant", "large diagonal", "small rest", "impossible pairs", "offset"],
)
def test_finite_values_stay_finite_in_float32(compiled, scores):
    values, gradients = compiled(scores.astype(np.float32))
    infinite = set()
    if scores.min() == -np.inf:
        infinite = {"club", "leave_one_out"}  # the last column's y can come from its own x only
    elif scores.min() > 9e3:
        infinite = {"nwj", "tuba", "jensen_shannon"}  # E_q e^f is infinite in float32
    for name, value in values.items():
        assert value.dtype == jnp.float32
        assert not jnp.isnan(value), name
        if name not in infinite:
            assert jnp.isfinite(value), name
            # One reverse pass serves all: where another bound is infinite, 0·∞ reaches this one's gradient too.
            assert infinite or jnp.isfinite(gradients[name]).all(), name


def test_large_scores_keep_their_value(x64, compiled):
    shifted = np.random.default_rng(1).normal(size=(5, 5))
    for name in ("infonce", "donsker_varadhan", "club", "leave_one_out"):  # an added constant changes nothing
        value = compiled(shifted)[0][name]
        assert float(compiled(shifted + 800.0)[0][name]) == pytest.approx(float(value), abs=1e-10), name


def test_sums_without_a_row_keep_their_digits():
    scores = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    scores[2] += 40  # in float32 the others vanish beside it
    found = np.exp(np.asarray(jax.jit(log_sums_without_row)(scores), np.float64))
    kept = np.exp(scores.astype(np.float64))
    for k in range(5):
        assert found[k] == pytest.approx(np.delete(kept, k, 0).sum(0), rel=1e-5)


def identities(scores):
    """Pairs of equal numbers."""
    minors = [jnp.delete(jnp.delete(scores, k, 0), k, 1) for k in range(5)]
    of_y, of_x = jnp.asarray(COLUMN)[None, :], jnp.asarray(COLUMN)[:, None]
    return {
        "NWJ is TUBA with a = e": (nwj(scores), tuba(scores, 1.0)),
        "JS is NWJ at f + 1": (information.jensen_shannon(scores), nwj(scores + 1)),
        "a baseline is part of the critic": (tuba(scores, COLUMN), nwj(scores - of_y + 1)),
        "α = 0 is TUBA": (interpolated(scores, 0.0, COLUMN), tuba(scores, COLUMN)),
        "α = 1 is InfoNCE of K − 1": (interpolated(scores, 1.0), sum(information.infonce(m.T) for m in minors) / 5),
        "SMILE unclipped is DV": (information.smile(scores, np.inf), information.donsker_varadhan(scores)),
        "MINE's value is DV's": (mine(scores, 0.3).value, information.donsker_varadhan(scores)),
        "c(x) in InfoNCE": (information.infonce(scores + of_x), information.infonce(scores)),
        "h(y) in CLUB": (information.club(scores + of_y), information.club(scores)),
        "h(y) in leave-one-out": (information.leave_one_out(scores + of_y), information.leave_one_out(scores)),
    }


def test_identities(x64):
    for name, (left, right) in jax.jit(identities)(np.random.default_rng(2).normal(size=(5, 5))).items():
        assert float(left) == pytest.approx(float(right), abs=1e-12), name


def test_mine_has_the_running_mean_in_its_gradient_only(x64):
    rng = np.random.default_rng(3)
    batches, decay = rng.normal(size=(3, 5, 5)), 0.7
    log_mean, running = None, None
    step = jax.jit(jax.value_and_grad(lambda s, m: tuple(mine(s, m, decay=decay)), has_aux=True))
    for scores in batches:
        batch = math.exp(oracle._joint(scores) - oracle.donsker_varadhan(scores))
        running = batch if running is None else decay * running + (1 - decay) * batch
        (value, log_mean), gradient = step(jnp.asarray(scores), log_mean)
        assert float(value) == pytest.approx(oracle.donsker_varadhan(scores), abs=1e-12)
        assert math.exp(log_mean) == pytest.approx(running, rel=1e-12)
        assert np.asarray(gradient) == pytest.approx(oracle.mine_gradient(scores, running), abs=1e-12)


def test_mine_survives_a_batch_a_thousand_nats_higher():
    scores = jnp.asarray(np.random.default_rng(4).normal(size=(5, 5)), jnp.float32)
    first = jax.jit(mine)(scores)
    gradient, log_mean = jax.jit(jax.grad(lambda s: tuple(mine(s, first.log_mean)), has_aux=True))(scores + 1000)
    assert jnp.isfinite(gradient).all()
    assert float(log_mean) == pytest.approx(1000 + math.log(0.01) + float(first.log_mean), abs=1e-3)


@jax.jit
def two_ends(scores):
    """I_α at α = 1 and its default, and bounds of the mean over the product law, with gradients."""
    after_none = mine(jnp.where(jnp.eye(3) > 0, 0.0, -jnp.inf)).log_mean  # a running mean of 0
    functions = {
        "one": lambda s: interpolated(s, 1.0),
        "default": interpolated,
        "nwj": nwj,
        "donsker_varadhan": information.donsker_varadhan,
        "leave_one_out": information.leave_one_out,
        "mine": lambda s: mine(s).value,
        "mine, later": lambda s: mine(s, after_none).value,
    }
    return {name: jax.value_and_grad(function)(scores) for name, function in functions.items()}


def test_pairs_that_cannot_be_leave_limits_and_finite_gradients():
    one_column = np.array([[1, 0, 0], [-np.inf, 1, 0], [-np.inf, 0, 1]], np.float32)
    found = two_ends(one_column)
    minors = [np.delete(np.delete(one_column, k, 0), k, 1).T for k in range(3)]
    assert float(found["one"][0]) == pytest.approx(np.mean([infonce(m) for m in minors]), abs=1e-6)
    assert float(found["one"][0]) == pytest.approx(0.4843, abs=1e-4)
    everything = two_ends(np.where(np.eye(3) > 0, 1, -np.inf).astype(np.float32))
    assert float(everything["nwj"][0]) == 1  # the mean over the product law is 0
    assert {float(everything[name][0]) for name in ("donsker_varadhan", "mine", "mine, later")} == {math.inf}
    for name, (_, slope) in [*found.items(), *everything.items()]:
        assert jnp.isfinite(slope).all(), name


# A joint law of 3 × 3 symbols with zero-free entries, and the 9³ batches of three pairs it can give.
JOINT = np.array([[0.30, 0.02, 0.05], [0.01, 0.25, 0.03], [0.06, 0.04, 0.24]])
P_X, P_Y = JOINT.sum(1), JOINT.sum(0)
LOG_RATIO = np.log(JOINT / np.outer(P_X, P_Y))
INFORMATION = float((JOINT * LOG_RATIO).sum())
BATCHES = np.array(list(itertools.product(np.ndindex(3, 3), repeat=3)))
WEIGHTS = np.prod(JOINT[BATCHES[..., 0], BATCHES[..., 1]], axis=1)
OF_THREE = {"interpolated": {"alpha": 0.3, "log_baseline": 0.4}, "tuba": {"log_baseline": -0.6}, "smile": {"clip": 1.0}}
OWN = [name for name in BOUNDS if name != "mine"]


@jax.jit
def expectations(critics):
    """E of each bound over all batches, for critics [C, 3, 3]."""
    scores = critics[:, BATCHES[:, :, None, 0], BATCHES[:, None, :, 1]]
    values = jax.vmap(jax.vmap(lambda s: {n: get_bound(n, **OF_THREE.get(n, {})).value(s) for n in OWN}))(scores)
    return jax.tree.map(lambda v: (v * WEIGHTS[None, :]).sum(1), values)


def test_sides_exactly(x64):
    rng = np.random.default_rng(5)
    near = LOG_RATIO + 0.3 * rng.normal(size=(20, 3, 3))
    wild = rng.uniform(0.1, 4, size=(20, 1, 1)) * rng.normal(size=(20, 3, 3))
    found = expectations(np.concatenate([LOG_RATIO[None], LOG_RATIO[None] + 1, near, wild]))
    for name in OWN:
        kind = get_bound(name).kind
        if kind == "lower":
            assert (found[name] <= INFORMATION + 1e-12).all(), name
        elif kind == "neither":  # both sides are reached, one of them by a critic near the optimum
            assert (found[name][:22] > INFORMATION + 1e-3).any(), name
            assert (found[name] < INFORMATION - 1e-3).any(), name
    assert float(found["nwj"][1]) == pytest.approx(INFORMATION, abs=1e-13)  # tight at 1 + log r
    assert float(found["jensen_shannon"][0]) == pytest.approx(INFORMATION, abs=1e-13)  # and at log r
    assert float(found["donsker_varadhan"][0]) > INFORMATION + 0.01  # the batch's logarithm overshoots


def test_upper_bounds_with_the_true_conditional_only(x64):
    rng = np.random.default_rng(6)
    log_conditional = np.log(JOINT / P_X[:, None])
    true = log_conditional + rng.normal(size=(10, 1, 3))  # any h(y)
    wrong = log_conditional * np.linspace(0, 0.5, 10)[:, None, None]
    found = expectations(np.concatenate([true, wrong]))
    reverse = float((np.outer(P_X, P_Y) * -LOG_RATIO).sum())  # KL(p(x)p(y) ‖ p(x, y))
    assert np.asarray(found["club"][:10]) == pytest.approx(np.full(10, INFORMATION + reverse), abs=1e-12)
    assert (found["leave_one_out"][:10] > INFORMATION + 0.01).all()
    for name in ("club", "leave_one_out"):
        assert (found[name][10:] < INFORMATION).any(), name
    along_rows = expectations(np.transpose(true, (0, 2, 1)))["leave_one_out"]  # the wrong way round: h(y) stays
    assert float(np.ptp(along_rows)) > 0.1


def test_jensen_shannon_objective_is_maximal_at_the_log_ratio(x64):
    def expected(critic):
        scores = critic[BATCHES[:, :, None, 0], BATCHES[:, None, :, 1]]
        return (jax.vmap(information.jensen_shannon_objective)(scores) * WEIGHTS).sum()

    value, slope = jax.jit(jax.value_and_grad(expected))(jnp.asarray(LOG_RATIO))
    product, middle = np.outer(P_X, P_Y), (JOINT + np.outer(P_X, P_Y)) / 2
    divergence = 0.5 * (JOINT * np.log(JOINT / middle) + product * np.log(product / middle)).sum()
    assert float(value) == pytest.approx(2 * divergence - 2 * math.log(2), abs=1e-12)
    assert np.asarray(slope) == pytest.approx(np.zeros((3, 3)), abs=1e-12)


def test_ceilings_are_reached(x64):
    """That of I_α is 1 + log((K − 1)/α), above the log(K/α) of the literature."""
    scores, alphas = np.where(np.eye(5) > 0, 700.0, -700.0), (1.0, 0.5, 0.01)
    of_infonce, *found = jax.jit(lambda s: [information.infonce(s), *(interpolated(s, a) for a in alphas)])(scores)
    assert float(of_infonce) == pytest.approx(math.log(5), abs=1e-12) == get_bound("infonce").ceiling(5)
    for alpha, value in zip(alphas, found, strict=True):
        ceiling = (alpha < 1) + math.log(4 / alpha)
        assert float(value) == pytest.approx(ceiling, abs=1e-9)
        assert get_bound("interpolated", alpha=alpha).ceiling(5) == pytest.approx(ceiling)
        assert alpha == 1 or ceiling > math.log(5 / alpha)


def test_interpolated_population_value_exceeds_log_of_k_over_alpha():
    """N symbols, Y = X, critic log r, q = 1: still a lower bound on log N, yet above log(K/α), exactly enumerated."""
    symbols, num, alpha = 10**6, 64, 0.5

    def chance(draws, matches):
        return math.comb(draws, matches) * symbols**-matches * (1 - 1 / symbols) ** (draws - matches)

    def mean_ratio(matches):
        return symbols * matches / num

    joint = sum(chance(num - 1, c) * math.log(symbols / (alpha * mean_ratio(c + 1) + 1 - alpha)) for c in range(8))
    product = sum(chance(num, c) * mean_ratio(c) / (alpha * mean_ratio(c) + 1 - alpha) for c in range(8))
    value = 1 + joint - product
    assert math.log(num / alpha) + 0.99 < value < 1 + math.log(num / alpha) < math.log(symbols)


def test_records():
    kinds = {name: get_bound(name).kind for name in BOUNDS}
    assert [name for name, kind in kinds.items() if kind == "upper"] == ["club", "leave_one_out"]
    assert [name for name, kind in kinds.items() if kind == "neither"] == ["donsker_varadhan", "mine", "smile"]
    assert {name for name in BOUNDS if math.isfinite(get_bound(name).ceiling(64))} == {"infonce", "interpolated"}
    assert get_bound("interpolated", alpha=0.0).ceiling(64) == math.inf
    infonce = get_bound("infonce")
    assert infonce.near_ceiling(0.951 * math.log(64), 64)
    assert not infonce.near_ceiling(0.949 * math.log(64), 64)
    assert not get_bound("nwj").near_ceiling(math.inf, 64)
    assert get_bound("smile", clip=1.0) is get_bound("smile", clip=1.0) != get_bound("smile")


BAD = {
    "square": (lambda: nwj(np.ones((2, 3))), r"square matrix"),
    "one": (lambda: information.infonce([[1.0]]), r"K = 1"),
    "nan": (lambda: nwj([[1.0, np.nan], [0.0, 1.0]]), "NaN"),
    "infinite": (lambda: nwj([[1.0, np.inf], [0.0, 1.0]]), r"\+∞"),
    "impossible": (lambda: nwj([[-np.inf, 0.0], [0.0, 1.0]]), "diagonal"),
    "alpha": (lambda: interpolated(np.eye(3), 1.5), r"alpha is 1.5"),
    "clip": (lambda: information.smile(np.eye(3), 0.0), r"clip is 0.0"),
    "decay": (lambda: mine(np.eye(3), decay=1.0), r"decay is 1.0"),
    "baseline": (lambda: tuba(np.eye(3), np.zeros(2)), r"log_baseline has shape \(2,\)"),
    "baseline value": (lambda: tuba(np.eye(3), np.nan), "log_baseline holds NaN"),
    "alpha text": (lambda: interpolated(np.eye(3), "a"), "alpha is 'a'"),
    "clip text": (lambda: information.smile(np.eye(3), "a"), "clip is 'a'"),
    "mean": (lambda: mine(np.eye(3), np.nan), "log_mean is NaN"),
    "means": (lambda: mine(np.eye(3), np.zeros(3)), r"log_mean has shape \(3,\)"),
    "pairs": (lambda: get_bound("interpolated").ceiling(1), "num_pairs is 1"),
    "early": (lambda: get_bound("interpolated", alpha=2.0), r"alpha is 2.0"),
    "baselines": (lambda: get_bound("tuba", log_baseline=np.zeros(3)), r"one finite number"),
    "names": (lambda: get_bound(["a"]), r"bound is \['a'\]"),
    "name": (lambda: get_bound("dv"), "'donsker_varadhan'"),
    "parameter": (lambda: get_bound("infonce", alpha=1.0), "no parameter alpha"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case, unhooked):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
