import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.ssl import flops, runs, throughput
from experiments.ssl.config import load_preset
from experiments.ssl.flops import flops_per_image, forward_cost, multiply_adds
from experiments.ssl.layers import convolve
from experiments.ssl.models import Head
from experiments.ssl.objectives import make_objective


def abstract(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_products_are_counted_from_their_shapes():
    assert multiply_adds(lambda x, y: x @ y, abstract(3, 5), abstract(5, 7)) == 3 * 5 * 7
    assert multiply_adds(lambda x, y: jnp.einsum("bij,bkj->bik", x, y), abstract(2, 3, 5), abstract(2, 4, 5)) == 120
    assert multiply_adds(lambda x: jnp.exp(x) + x.sum(), abstract(3, 5)) == 0


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (1, 2), (4, 2)])
def test_both_convolutions_count_alike(size, stride):
    x, weight = abstract(2, 8, 8, 3), abstract(size, size, 3, 5)
    side = 8 // stride
    for kind in ("patches", "xla"):
        found = multiply_adds(lambda x, w, kind=kind: convolve(x, w, stride, kind), x, weight)
        assert found == 2 * side**2 * 5 * size**2 * 3
    groups = {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 3}
    names = ("NHWC", "HWIO", "NHWC")
    apart = multiply_adds(
        lambda x, w: jax.lax.conv_general_dilated(x, w, dimension_numbers=names, **groups), x, abstract(3, 3, 1, 6)
    )
    assert apart == 2 * 8 * 8 * 6 * 9


def test_loops_count_as_often_as_they_run():
    x = abstract(3, 3)
    scanned = multiply_adds(lambda x: jax.lax.scan(lambda y, _: (jax.jit(lambda y: x @ y)(y), None), x, None, 5)[0], x)
    assert scanned == 5 * 27
    chosen = multiply_adds(lambda x: jax.lax.cond(x[0, 0] > 0, lambda y: y @ y, lambda y: y @ y @ y, x), x)
    assert chosen == 2 * 27
    with pytest.raises(ValueError, match="does not tell"):
        multiply_adds(lambda x: jax.lax.while_loop(lambda y: y[0, 0] > 0, lambda y: y @ y, x), x)


def test_resnet18_costs_what_is_published():
    # 0.56 billion multiply-adds: the stem, then four stages of two blocks at 32, 16, 8 and 4 pixels a side.
    expected = 32**2 * 9 * 3 * 64 + 4 * 32**2 * 9 * 64**2
    for width, side in ((128, 16), (256, 8), (512, 4)):
        half = width // 2
        expected += side**2 * (9 * half * width + 3 * 9 * width**2 + half * width)
    config = load_preset("gpu-9min", "byol")
    cost = forward_cost(config, make_objective(config.objective))
    assert cost.encoder == expected
    assert round(expected / 1e9, 2) == 0.56
    projector, predictor = 512 * 2048 + 2048 * 256, 2 * 2048 * 256
    assert cost.heads == projector + predictor
    assert cost.target == expected + projector
    per_view = 3 * (expected + projector + predictor) + expected + projector
    assert flops_per_image(config, make_objective(config.objective)) == 2 * 2 * per_view
    without = load_preset("gpu-9min", "ssl_hsic")
    assert forward_cost(without, make_objective(without.objective)) == (expected, projector, 0)


def test_a_backward_pass_costs_two_forward_ones():
    head = Head(6, 8, 4, norm=False, key=jax.random.key(0))
    x = abstract(5, 6)
    forward = multiply_adds(lambda head, x: head(x)[0], head, x)
    both = multiply_adds(lambda head, x: eqx.filter_grad(lambda of: (of[0](of[1])[0] ** 2).sum())((head, x)), head, x)
    assert forward == 5 * (6 * 8 + 8 * 4)
    assert both == flops.FORWARD_AND_BACKWARD * forward


def test_rates_and_the_share_of_the_device(monkeypatch):
    assert flops.matmul_rate(size=16, seconds=0.0) > 0
    config = load_preset("smoke", "ssl_hsic")
    objective = make_objective(config.objective)
    monkeypatch.setattr(flops, "matmul_rate", lambda dtype: {"float32": 1e9}[dtype])
    found = flops.speed(config, objective, 100.0, measure=True)
    each = flops_per_image(config, objective)
    assert found["flops_per_second"] == 100 * each
    np.testing.assert_allclose(found["share_of_matmul"] * jax.device_count(), 100 * each / 1e9)
    assert "share_of_matmul" not in flops.speed(config, objective, 100.0, measure=False)


def test_throughput_leaves_out_the_call_that_compiles(monkeypatch, tmp_path):
    seen = []

    def trained(config, objective, images, labels, *, progress):
        seen.append((config.training.epochs, len(images), labels))
        return types.SimpleNamespace(metrics={"images_per_second": np.repeat([1.0, 50.0, 70.0], 4)})

    monkeypatch.setattr(runs, "RESULTS", tmp_path / "runs")
    monkeypatch.setattr(throughput, "train", trained)
    monkeypatch.setattr(throughput, "speed", lambda *_, measure: {"share_of_matmul": 0.5})
    config = load_preset("smoke", "ssl_hsic")
    assert throughput.throughput(config, 3) == {"images_per_second": 60.0, "share_of_matmul": 0.5}
    assert seen == [(3, 256, None)]
    with pytest.raises(ValueError, match="one jitted call of 4 steps"):
        throughput.throughput(config, 1)
