"""What every objective must satisfy, over the list in `cases`."""

import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.objectives import Outputs, get_objective, objective_names

from .cases import CASES, Arrays, Case, arrays, outputs_of

every_case = pytest.mark.parametrize("case", CASES, ids=str)
ROOT = Path(__file__).parents[2]


def fresh_key():
    """Every use needs its own copy: key reuse is an error in the tests."""
    return jax.random.key(3)


def compiled(objective):
    """The loss and its gradient to all arrays of the outputs, from the initial state."""

    def both(outputs):
        trained, fixed = eqx.partition(outputs, eqx.is_inexact_array)
        key, state_key = fresh_key(), jax.random.key(4)

        def loss(trained):
            return objective(
                eqx.combine(trained, fixed), objective.init(outputs.projections.shape[-1], key=state_key), key=key
            )[0]

        return jax.value_and_grad(loss)(trained)

    return both


def changed(found, change):
    """The same change of projections, predictions and targets."""
    return found._replace(**{name: change(getattr(found, name)) for name in ("projections", "predictions", "targets")})


@every_case
def test_loss_is_the_reference_in_any_order_and_its_gradient_that_of_differences(x64, case):
    objective = case.make()
    function = jax.jit(compiled(objective))

    def at(found):
        return function(outputs_of(case, objective, found))

    found = arrays(objective)
    here, slope = at(found)
    assert float(here) == pytest.approx(case.reference(found, fresh_key()), rel=1e-8, abs=1e-8)

    images = np.random.default_rng(0).permutation(found.labels.size)
    permuted = Arrays(*(one[:, images] for one in found[:4]), found.labels[images])
    reversed_views = Arrays(*(one[::-1] for one in found[:4]), found.labels)
    for other in (permuted, reversed_views):
        assert float(at(other)[0]) == pytest.approx(float(here), rel=1e-10, abs=1e-10)

    if slope.targets is not None:
        assert not slope.targets.any()
    if objective.target == "stop_gradient" and not objective.predictor:
        return  # the gradient leaves out what goes through the targets
    name = "predictions" if objective.predictor else "projections"
    fixed = list(case.fixed)
    assert not np.asarray(getattr(slope, name))[fixed].any()
    direction = np.random.default_rng(1).normal(size=found.projections.shape)
    direction[fixed] = 0
    ahead, behind = (
        float(at(found._replace(**{name: getattr(found, name) + h * direction}))[0]) for h in (1e-5, -1e-5)
    )
    expected = (ahead - behind) / 2e-5
    assert float((getattr(slope, name) * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8)


def is_first(case: Case) -> bool:
    """Of its objective."""
    return case is next(one for one in CASES if type(one.make()) is type(case.make()))


def is_sampled(case: Case) -> bool:
    """Of a few objectives: what is promoted before any statistic is the business of a base class."""
    return is_first(case) and case.name.partition("-")[0] in ("ssl_hsic", "infonce", "barlow_twins")


@pytest.mark.parametrize(
    ("case", "precision"),
    [
        pytest.param(case, precision, id=f"{case}-{precision.__name__}", marks=() if quick(case) else pytest.mark.slow)
        for precision, quick in ((jnp.float32, is_first), (jnp.bfloat16, is_sampled))
        for case in CASES
    ],
)
def test_finite_at_collapse_ties_and_zero_and_vmapped(case, precision):
    objective = case.make()
    spread = arrays(objective)
    one_view = spread.projections[:1].repeat(objective.num_views, 0)
    batch = (
        spread,
        changed(spread, np.ones_like),
        changed(spread, np.zeros_like),
        changed(spread, lambda _: one_view),
        changed(spread, lambda views: views[:, [0, 0, *range(2, views.shape[1])]]),
    )
    stacked: Outputs = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *(outputs_of(case, objective, one, precision) for one in batch)
    )
    loss, slope = jax.jit(jax.vmap(compiled(objective)))(stacked)
    assert loss.dtype == jnp.float32
    assert jnp.isfinite(loss).all()
    for leaf in jax.tree.leaves(slope):
        assert leaf.dtype == precision
        assert jnp.isfinite(leaf).all()
    exact = case.reference(spread, fresh_key())
    assert float(loss[0]) == pytest.approx(exact, rel=1e-4 if precision == jnp.float32 else 0.1, abs=1e-4)


@every_case
def test_terms_are_scalars_and_only_arrays_are_trainable(case):
    objective = case.make()
    state = objective.init(4, key=jax.random.key(4))
    shapes = eqx.filter_eval_shape(objective, outputs_of(case, objective, arrays(objective)), state, key=fresh_key())
    loss, terms, new_state = shapes
    assert all(one.shape == () for one in (loss, *terms.values()))
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    assert jax.tree.map(jnp.shape, new_state) == jax.tree.map(jnp.shape, state)
    trained, _ = eqx.partition(objective, objective.trainable())
    assert all(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(trained))


def test_every_name_makes_its_objective_and_every_objective_has_a_case():
    made = {type(get_objective(name)) for name in objective_names()}
    assert made == {type(case.make()) for case in CASES}
    assert get_objective("infonce", temperature=0.5).temperature == 0.5
    with pytest.raises(ValueError, match="ssl_hsic"):
        get_objective("info_nce")
    with pytest.raises(TypeError, match="temprature"):
        get_objective("infonce", temprature=0.5)


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        pytest.param((), 4, id="some"),
        pytest.param(("--all",), len(CASES), id="all", marks=pytest.mark.slow),
    ],
)
def test_on_eight_devices_as_on_one(arguments, number):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    program = [sys.executable, "-m", "tests.objectives.on_devices", *arguments]
    done = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{number} objectives" in done.stdout
