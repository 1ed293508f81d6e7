from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.ssl.config import ModelConfig
from experiments.ssl.layers import BatchNorm, Recorder, convolve
from experiments.ssl.models import Network, make_encoder

TINY = ModelConfig(widths=(4, 8), blocks=(1, 1), projector_hidden=8, projector_dim=4)


@pytest.mark.parametrize(
    ("size", "stride", "side"), [(3, 1, 6), (4, 2, 8), (2, 2, 6), (3, 2, 7), (4, 2, 7), (5, 3, 8), (2, 2, 5)]
)
def test_convolution_by_patches_equals_xla_s(size, stride, side):
    key_x, key_w = jax.random.split(jax.random.key(0))
    x, weight = jax.random.normal(key_x, (2, side, side, 3)), jax.random.normal(key_w, (size, size, 3, 5))
    np.testing.assert_allclose(
        convolve(x, weight, stride, "patches"), convolve(x, weight, stride, "xla"), rtol=1e-4, atol=1e-4
    )


def test_batch_norm_standardises_its_batch_and_keeps_fixed_moments():
    norm, recorder = BatchNorm(3, affine=False), Recorder(None)
    x = 5 + 2 * jax.random.normal(jax.random.key(0), (4, 6, 6, 3))
    y = norm(x, recorder)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(norm(x[:1], Recorder(recorder.taken)), y[:1], atol=1e-5)


def test_with_fixed_statistics_features_do_not_depend_on_the_batch():
    encoder = eqx.filter_jit(make_encoder(TINY, key=jax.random.key(0)))
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 3))
    features, statistics = encoder(images)
    assert features.shape == (6, 8)
    np.testing.assert_allclose(encoder(images, statistics)[0], features, atol=1e-5)
    np.testing.assert_allclose(encoder(images[2:3], statistics)[0], features[2:3], atol=1e-5)


def test_a_pyramid_has_quadrants_of_the_last_two_stages():
    config = replace(TINY, widths=(4, 6, 8), blocks=(0, 0, 1), encoder="pyramid")
    pyramid = make_encoder(config, key=jax.random.key(0))
    images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    features, statistics = eqx.filter_jit(pyramid)(images)
    assert features.shape == (2, pyramid.dim) == (2, 4 * (6 + 8))
    last = features[:, 4 * 6 :].reshape(2, 4, 8)  # of a map of 2 × 2
    plain = make_encoder(replace(config, encoder="patches"), key=jax.random.key(0))
    np.testing.assert_allclose(last.mean(1), eqx.filter_jit(plain)(images)[0], rtol=1e-5, atol=1e-5)

    corner, _ = eqx.filter_jit(pyramid)(images.at[:, :5, :5].add(1.0), statistics)
    changed = jnp.abs(corner - features)[:, : 4 * 6].reshape(2, 4, 6).max((0, 2)) > 0
    np.testing.assert_array_equal(changed, [True, False, False, False])  # that of 4 × 4 has seen patches alone


def test_network_has_a_predictor_only_if_wanted():
    assert Network(TINY, predictor=False, key=jax.random.key(0)).predictor is None
    network = Network(TINY, predictor=True, key=jax.random.key(0))
    predictor = network.predictor
    assert predictor is not None
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 3))
    z = jax.jit(lambda x: network.projector(network.encoder(x)[0])[0])(images)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-2)
    assert eqx.filter_jit(predictor)(z)[0].shape == (6, 4)


def test_resnet18_has_the_published_parameters_and_features():
    # 11,173,962 with the 512 x 10 classifier and its 10 biases.
    encoder = eqx.filter_eval_shape(make_encoder, ModelConfig(encoder="resnet18"), key=jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(encoder)) == 11_173_962 - 5_130
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    features, statistics = eqx.filter_eval_shape(lambda network, x: network(x), encoder, images)
    assert features.shape == (2, 512)
    assert len(statistics) == 1 + 16 + 3  # the stem, two in each of eight blocks, three shortcuts


def test_half_precision_keeps_parameters_statistics_and_outputs_in_single():
    networks = [
        Network(ModelConfig(widths=(4, 8), blocks=(0, 1), compute_dtype=dtype), predictor=False, key=jax.random.key(0))
        for dtype in ("float32", "bfloat16")
    ]
    images = 1 + jax.random.normal(jax.random.key(1), (32, 8, 8, 3))

    @eqx.filter_jit
    def run(network, images):
        features, statistics = network.encoder(images)
        return features, statistics, network.projector(features)[0]

    jaxpr = str(eqx.filter_make_jaxpr(run)(networks[1], images)[0])
    assert "bf16[32,2,2,8]" in jaxpr
    single, half = (run(network, images) for network in networks)
    for leaf in (*jax.tree.leaves(half), *jax.tree.leaves(eqx.filter(networks[1], eqx.is_array))):
        assert leaf.dtype == jnp.float32
    for one, other in zip(jax.tree.leaves(single[1]), jax.tree.leaves(half[1]), strict=True):
        np.testing.assert_allclose(other, one, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(half[0], single[0], rtol=0.05, atol=0.05)


def test_projector_depth():
    shapes = [
        [weight.shape for weight in network.projector.hidden]
        for network in (
            Network(
                ModelConfig(widths=(4,), blocks=(0,), projector_layers=layers, projector_hidden=6),
                predictor=False,
                key=jax.random.key(0),
            )
            for layers in (2, 3)
        )
    ]
    assert shapes == [[(4, 6)], [(4, 6), (6, 6)]]
