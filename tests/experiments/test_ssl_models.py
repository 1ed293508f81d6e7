import equinox as eqx
import jax
import numpy as np
import pytest

from experiments.ssl.config import ModelConfig
from experiments.ssl.models import BatchNorm, Encoder, Network, _Recorder, convolve

TINY = ModelConfig(widths=(4, 8), blocks=(1, 1), projector_hidden=8, projector_dim=4)


@pytest.mark.parametrize(("size", "stride", "side"), [(3, 1, 6), (4, 2, 8), (2, 2, 6), (3, 2, 7), (4, 2, 7), (5, 3, 8)])
def test_convolution_by_patches_equals_xla_s(size, stride, side):
    key_x, key_w = jax.random.split(jax.random.key(0))
    x, weight = jax.random.normal(key_x, (2, side, side, 3)), jax.random.normal(key_w, (size, size, 3, 5))
    expected = jax.lax.conv_general_dilated(
        x, weight, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(convolve(x, weight, stride), expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_standardises_its_batch_and_keeps_fixed_moments():
    norm, recorder = BatchNorm(3, affine=False), _Recorder(None)
    x = 5 + 2 * jax.random.normal(jax.random.key(0), (4, 6, 6, 3))
    y = norm(x, recorder)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(norm(x[:1], _Recorder(recorder.taken)), y[:1], atol=1e-5)


def test_with_fixed_statistics_features_do_not_depend_on_the_batch():
    encoder = eqx.filter_jit(Encoder(TINY, key=jax.random.key(0)))
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 3))
    features, statistics = encoder(images)
    assert features.shape == (6, 8)
    np.testing.assert_allclose(encoder(images, statistics)[0], features, atol=1e-5)
    np.testing.assert_allclose(encoder(images[2:3], statistics)[0], features[2:3], atol=1e-5)


def test_network_has_a_predictor_only_if_wanted():
    assert Network(TINY, predictor=False, key=jax.random.key(0)).predictor is None
    network = Network(TINY, predictor=True, key=jax.random.key(0))
    predictor = network.predictor
    assert predictor is not None
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 3))
    z = jax.jit(lambda x: network.projector(network.encoder(x)[0])[0])(images)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-2)
    assert eqx.filter_jit(predictor)(z)[0].shape == (6, 4)
