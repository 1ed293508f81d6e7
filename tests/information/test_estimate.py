"""Training a critic: what is seen when, what comes back, and what is refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kerneldep import information
from kerneldep.information import Bilinear, KernelCritic, Standardised, estimate_mi, get_bound
from kerneldep.information.estimate import _split
from kerneldep.information.tasks import CorrelatedGaussian
from kerneldep.kernels import Gaussian


def key() -> jax.Array:
    return jax.random.key(0)


def pairs(num: int = 640) -> tuple[np.ndarray, np.ndarray]:
    """Correlated Gaussians, ρ = 0.9, I = 0.83 nats."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, num, 1)).astype(np.float32)
    return x, 0.9 * x + np.float32(math.sqrt(0.19)) * noise


def split(x: jax.Array, y: jax.Array):
    """The parts that `estimate_mi` makes with this key."""
    return _split(jax.random.split(key(), 3)[0], (x, y), 32, 0.2, 0.1)


def train(x, y, bound="infonce", **options):
    """A few steps of one shape, compiled once a bound."""
    critic = Bilinear(1, 1, key=jax.random.key(5))
    return estimate_mi(x, y, bound, critic, key=key(), batch_size=32, num_steps=200, learning_rate=0.1, **options)


@pytest.fixture(scope="module")
def found():
    return train(*pairs())


def test_parts_are_disjoint_and_pairs_stay_together():
    x = jnp.arange(640.0)[:, None]
    parts = split(x, -x)
    assert [part[0].size for part in parts] == [640 - 128 - 64, 64, 128]
    together = np.concatenate([np.ravel(part[0]) for part in parts])
    assert sorted(together) == list(range(640))
    for of_x, of_y in parts:
        assert (of_x == -of_y).all()


def test_held_out_pairs_touch_nothing_but_the_estimate(found, capsys):
    x, y = pairs()
    held_out = np.ravel(split(*[jnp.arange(640.0)[:, None]] * 2).held_out[0]).astype(int)
    spoilt = y.copy()
    spoilt[held_out] = y[np.roll(held_out, 1)]  # now independent of x
    other = train(x, spoilt, progress=True)
    assert "infonce: 100%" in capsys.readouterr().err
    assert (other.critic.weight == found.critic.weight).all()
    assert (other.curve.validation == found.curve.validation).all()
    assert float(other.estimate) < 0.1 < float(found.estimate) - 0.2


def test_result(found):
    x, y = pairs()
    batches = split(jnp.asarray(x), jnp.asarray(y)).held_out
    values = [float(information.infonce(found.critic(a, b))) for a, b in zip(*batches, strict=True)]
    assert float(found.estimate) == pytest.approx(np.mean(values), abs=1e-6)
    assert float(found.standard_error) == pytest.approx(np.std(values, ddof=1) / 2, abs=1e-6)
    assert found.estimate.dtype == jnp.float32
    assert found.curve.objective.shape == (200,)
    assert found.curve.step.tolist() == [100, 200]
    assert found.curve.best_step == found.curve.step[np.argmax(found.curve.validation)]
    assert found.kind == "lower"
    assert found.ceiling == pytest.approx(math.log(32))
    assert not found.near_ceiling
    assert "infonce, lower bound, K = 32, ceiling 3.466)" in repr(found)
    again = train(x, y)
    assert float(again.estimate) == float(found.estimate)


def test_running_mean_and_learned_upper_bounds():
    mine = train(*pairs(), "mine")
    assert mine.kind == "neither"
    assert mine.ceiling == math.inf
    assert float(mine.estimate) > 0.3
    club = train(*pairs(), "club")
    assert club.bound.kind == "upper"
    assert club.kind == "neither"
    assert "neither a lower nor an upper bound" in repr(club)


@pytest.mark.parametrize(("name", "low", "high"), [("leave_one_out", 0.83, 1.05), ("jensen_shannon", 0.7, 0.95)])
def test_a_known_critic_needs_no_training(name, low, high):
    x, y = pairs(3200)
    exact = CorrelatedGaussian.with_correlation(0.9).critic
    found = estimate_mi(x, y, name, exact, key=key(), batch_size=32, num_steps=0)
    assert found.kind == get_bound(name).kind
    assert low < float(found.estimate) < high
    assert 0 < float(found.standard_error) < 0.1
    assert found.curve.best_step == 0


def test_default_critic_does_not_see_location_and_scale():
    x, y = pairs()
    x = np.round(x * 2**20) / np.float32(2**20)

    def found(x):
        return estimate_mi(x, y, key=key(), batch_size=32, num_steps=20)

    plain = found(x)
    assert float(plain.estimate) > 0.2
    for exponent in (100, -73):
        assert float(found(x * np.float32(2.0) ** exponent).estimate) == float(plain.estimate)
    offset = x.astype(np.float64) + 2.0**27
    moved = found(offset)
    assert float(moved.estimate) == pytest.approx(float(plain.estimate), abs=1e-3)
    scores = np.asarray(moved.critic(offset[:5, 0], y[:5, 0]))  # the data as they are
    assert scores == pytest.approx(np.asarray(plain.critic(x[:5], y[:5])), abs=0.01)


def test_weight_decay_moves_what_is_trained_only():
    x, y = pairs()
    critic = Standardised(KernelCritic(Gaussian(1.0), temperature=0.5), 3 * x, 3 * y)
    decay = optax.adamw(0.1, weight_decay=1.0)
    found = estimate_mi(x, y, critic=critic, key=key(), batch_size=32, num_steps=20, optimiser=decay).critic
    assert found.critic.log_temperature != critic.critic.log_temperature
    assert float(found.critic.kernel.bandwidth) == 1
    assert jax.tree.map(float, (found.moments_x.deviation[0, 0], found.moments_y.mean[0, 0])) == (
        float(critic.moments_x.deviation[0, 0]),
        float(critic.moments_y.mean[0, 0]),
    )


def test_divergence_is_named():
    x, y = pairs()
    with pytest.raises(FloatingPointError, match="infonce was never finite"):
        estimate_mi(1e30 * x, 1e30 * y, "infonce", Bilinear(1, 1, key=key()), key=key(), batch_size=32, num_steps=200)


BAD = {
    "bound": ({"bound": "vae"}, ValueError, "'infonce', 'interpolated'"),
    "bound type": ({"bound": information.infonce}, TypeError, "get_bound"),
    "critic": ({"critic": Bilinear}, TypeError, "a critic from kerneldep.information"),
    "nothing to train": ({"critic": jnp.outer}, ValueError, "num_steps=0"),
    "key": ({"key": None}, ValueError, "key is missing"),
    "few": (
        {"batch_size": 400},
        ValueError,
        "640 pairs, too few for batches of 400: two to evaluate on, one to choose by",
    ),
    "one": ({"batch_size": 1}, ValueError, "batch_size is 1"),
    "size": ({"batch_size": 32.5}, ValueError, "batch_size is 32.5"),
    "steps": ({"num_steps": 10.5}, ValueError, "num_steps is 10.5"),
    "untrained": ({"num_steps": 0}, ValueError, "default critic has to be trained"),
    "optimiser": ({"optimiser": "adam"}, TypeError, "optimiser is 'adam'"),
    "rate": ({"learning_rate": -1.0}, ValueError, "learning_rate is -1.0"),
    "shares": ({"held_out": 0.95}, ValueError, "held_out is 0.95"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(case, unhooked):
    options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        estimate_mi(*pairs(), **{"key": key(), **options})


def test_bad_samples_are_named(unhooked):
    x, y = pairs()
    with pytest.raises(ValueError, match="x has 639, y has 640"):
        estimate_mi(x[1:], y, key=key())
    with pytest.raises(ValueError, match="y holds NaN"):
        estimate_mi(x, y * np.nan, key=key())
    with pytest.raises(TypeError, match="outside jit"):
        jax.jit(lambda x: estimate_mi(x, y, key=key()).estimate)(x)
