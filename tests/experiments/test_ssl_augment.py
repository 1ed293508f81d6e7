import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.ssl import augment
from experiments.ssl.config import AugmentConfig

CONFIG = AugmentConfig(size=8)
PLAIN = AugmentConfig(size=8, flip=0.0, jitter=0.0, grey=0.0)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def test_views_have_the_shape_repeat_and_differ(images):
    views = jax.jit(lambda x, key: augment.views(x, 3, CONFIG, key=key))
    first = views(images, jax.random.key(0))
    assert first.shape == (3, 5, 8, 8, 3)
    assert first.dtype == jnp.float32
    assert np.abs(first).max() <= 2  # [0, 1] normalised
    np.testing.assert_array_equal(first, views(images, jax.random.key(0)))
    assert np.abs(first - views(images, jax.random.key(1))).max() > 0.1
    assert np.abs(first[0] - first[1]).max() > 0.1


def test_a_view_does_not_depend_on_the_rest_of_the_batch(images):
    keys = jax.random.split(jax.random.key(3), (2, 5))
    views = jax.jit(lambda x, key: augment.views(x, 2, CONFIG, key=key))(images, jax.random.key(3))
    alone = augment.normalise(augment.random_view(keys[1, 2], jnp.asarray(images[2] / 255, jnp.float32), CONFIG))
    np.testing.assert_allclose(views[1, 2], alone, atol=1e-5)


def test_flip_is_the_mirror_image(images):
    image = jnp.asarray(images[0] / 255, jnp.float32)
    straight = augment.random_view(jax.random.key(5), image, PLAIN)
    mirrored = augment.random_view(jax.random.key(5), image, AugmentConfig(size=8, flip=1.0, jitter=0.0, grey=0.0))
    np.testing.assert_allclose(mirrored, straight[:, ::-1], atol=1e-6)


@pytest.mark.parametrize(("start", "extent", "size"), [(0.0, 16.0, 8), (3.0, 8.0, 8), (2.5, 5.0, 10), (1.0, 13.0, 4)])
def test_resize_matrix_is_the_plain_loop(start, extent, size):
    step, width = extent / size, max(extent / size, 1)
    expected = np.zeros((size, 16))
    for out in range(size):
        centre = start + (out + 0.5) * step - 0.5
        for pixel in range(16):
            expected[out, pixel] = max(0, 1 - abs(pixel - centre) / width)
        expected[out] /= expected[out].sum()
    np.testing.assert_allclose(augment.resize_matrix(start, extent, size, 16), expected, atol=1e-6)


def test_a_crop_at_whole_pixels_is_a_slice(images):
    image = images[1].astype(np.float32)
    rows, columns = augment.resize_matrix(3.0, 8.0, 8, 16), augment.resize_matrix(5.0, 8.0, 8, 16)
    np.testing.assert_allclose(augment.resample(image, rows, columns), image[3:11, 5:13], rtol=1e-5, atol=1e-3)


def test_shrinking_by_two_agrees_with_jax_image(images):
    image = images[1].astype(np.float32)
    rows = augment.resize_matrix(0.0, 16.0, 8, 16)
    expected = jax.image.resize(image, (8, 8, 3), "linear", antialias=True)
    np.testing.assert_allclose(augment.resample(image, rows, rows), expected, rtol=1e-4, atol=1e-2)


def test_crops_stay_inside_the_image():
    areas = []
    for seed in range(40):
        rows, columns = augment.random_crop(jax.random.key(seed), (16, 16), PLAIN)
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
        assert (np.asarray(rows) >= 0).all()
        heights = [matrix @ np.arange(16.0) for matrix in (rows, columns)]
        spans = [(h[-1] - h[0]) * 8 / 7 for h in heights]
        areas.append(spans[0] * spans[1] / 256)
    assert min(areas) > PLAIN.min_area * 0.7
    assert max(areas) < 1.05
    assert np.std(areas) > 0.1


def test_colour_operations_are_the_plain_formulas(images):
    x = images[2] / 255
    luma = np.array([0.299, 0.587, 0.114])
    grey = (x @ luma)[..., None]
    cases = [
        ((1.3, 1.0, 1.0, 0.0), 1.3 * x),
        ((1.0, 0.6, 1.0, 0.0), 0.6 * x + 0.4 * grey.mean()),
        ((1.0, 1.0, 0.5, 0.0), 0.5 * x + 0.5 * grey),
        ((1.2, 0.7, 1.0, 0.0), 0.7 * 1.2 * x + 0.3 * 1.2 * grey.mean()),
    ]
    for factors, expected in cases:
        matrix, offset = augment.colour_map(*factors, jnp.asarray(grey.mean(), jnp.float32))
        np.testing.assert_allclose(x @ np.asarray(matrix).T + np.asarray(offset), expected, atol=1e-5)


def test_hue_keeps_luminance_and_a_full_turn_changes_nothing(images):
    x = images[2] / 255
    turned = x @ np.asarray(augment.hue_matrix(0.2)).T
    np.testing.assert_allclose(augment.luminance(turned), augment.luminance(x), atol=1e-4)
    assert np.abs(turned - x).max() > 0.05
    np.testing.assert_allclose(augment.hue_matrix(1.0), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(augment.hue_matrix(0.1) @ augment.hue_matrix(-0.1), np.eye(3), atol=1e-4)


def test_grey_views_have_equal_channels(images):
    image = jnp.asarray(images[0] / 255, jnp.float32)
    view = augment.random_view(jax.random.key(0), image, AugmentConfig(size=8, jitter=1.0, grey=1.0))
    np.testing.assert_allclose(view, np.broadcast_to(view[..., :1], view.shape), atol=1e-5)
