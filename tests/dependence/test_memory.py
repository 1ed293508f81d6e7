"""No n × n array: not in the value, nor in any derivative. Read from the programs, which are traced and not run."""

import math
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax.extend import core

import kerneldep as kd
from kerneldep.dependence import feature_sums, tiled
from kerneldep.kernels import Gaussian

from ..registry import ESTIMATORS, EXACT, KERNELS
from ..thorough import thorough

N = 5_000
TILES = 2 * tiled.TILE**2
"""The most numbers an array may hold: two tiles."""


def sizes(jaxpr: Any) -> Iterator[tuple[int, str]]:
    """How many numbers each intermediate of a program holds, those of the programs inside it included."""
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            yield math.prod(getattr(variable.aval, "shape", ())), f"{equation.primitive}: {variable.aval}"
        for parameter in jax.tree.leaves(equation.params, is_leaf=is_program):
            if is_program(parameter):
                yield from sizes(getattr(parameter, "jaxpr", parameter))


def is_program(node: Any) -> bool:
    return isinstance(node, core.Jaxpr | core.ClosedJaxpr)


def largest(function: Any, *arguments: Any) -> tuple[int, str]:
    return max(sizes(jax.make_jaxpr(function)(*arguments).jaxpr))


def programs(estimator, kernel):
    """Value, gradient, forward derivative and Hessian product as functions of (parameters, x, y), and these."""
    parameters, static = eqx.partition((kernel, Gaussian(1.0)), eqx.is_inexact_array)

    def value(parameters, x, y):
        return kd.hsic(x, y, *eqx.combine(parameters, static), estimator=estimator.estimator, key=estimator.key())

    gradient = jax.grad(value, argnums=(0, 1, 2))
    at = (parameters, jnp.ones((N, 3)), jnp.ones((N, 2)))
    return {
        "value": value,
        "gradient": gradient,
        "forward": lambda *at: jax.jvp(value, at, at),
        "hessian": lambda *at: jax.jvp(gradient, at, at),
    }, at


def test_the_walk_finds_a_dense_matrix():
    def dense(x):
        return jax.lax.map(lambda row: jax.jit(lambda r: jnp.outer(r, r).sum())(row) * x.sum(), x)

    count, where = largest(dense, jnp.ones((3, 50)))
    assert count == 50 * 50
    kernel = Gaussian(1.0)
    count, where = largest(lambda x: kernel.gram(x).sum(), jnp.ones((N, 3)))
    assert count == N * N


# The Hessian product holds the value, the gradient and the forward derivatives of both.
@pytest.mark.parametrize(
    ("case", "estimator", "program"),
    thorough(
        [(case, EXACT[-1], "hessian") for case in KERNELS],
        lambda one: one[0].name in ("gaussian", "laplace_l1", "label", "nested", "deep"),
    )
    + [(KERNELS[0], estimator, program) for estimator in EXACT for program in ("value", "gradient", "forward")],
    ids=str,
)
def test_exact_estimators_hold_tiles_only(case, estimator, program):
    functions, at = programs(estimator, case.make(3))
    count, where = largest(functions[program], *at)
    assert 700**2 < count <= TILES < N * N, where  # 5,000 samples make seven tiles of 715


@pytest.mark.parametrize("estimator", [case for case in ESTIMATORS if case.random], ids=str)
@pytest.mark.parametrize("program", ["gradient", "hessian"])
def test_features_are_linear_in_the_samples(estimator, program):
    functions, at = programs(estimator, 2.0 * Gaussian(1.0))
    count, where = largest(functions[program], *at)
    assert count <= max(N * 3, feature_sums.TILE * estimator.estimator.num_features), where


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_cka_and_default_bandwidths(estimator):
    """The three HSICs of CKA, in one pass; the median is over 2,000 samples at most, whose distances it holds."""
    at = (jnp.ones((N, 3)), jnp.ones((N, 2)))

    def alignment(x, y):
        return kd.cka(x, y, Gaussian(1.0), Gaussian(1.0), estimator=estimator.estimator, key=estimator.key())

    assert largest(jax.grad(alignment), *at)[0] <= TILES
    count, where = largest(jax.grad(lambda x, y: kd.hsic(x, y)), *at)
    assert count <= 2_000**2, where
