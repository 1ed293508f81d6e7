import colorsys
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.ssl import augment
from experiments.ssl.config import AugmentConfig
from tests.oracles import augment as plain

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


@pytest.mark.parametrize("min_area", [0.08, 0.4])
def test_crops_are_spread_as_the_usual_ones(min_area):
    keys = jax.vmap(lambda key: jax.random.split(key, 4))(jax.random.split(jax.random.key(0), 3000))
    top, left, height, width = jax.vmap(lambda k: jnp.stack(augment.random_rectangle(k, (32, 32), min_area)))(keys).T
    rng = np.random.default_rng(0)
    crops = np.array([plain.resized_crop(rng, 32, min_area) for _ in range(3000)], float).T
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 32.001
    shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    measures = [  # of a rectangle, and by how much the usual one may be elsewhere: whole pixels, and drawn again
        (lambda t, l, h, w: h * w / 32**2, 0.08),
        (lambda t, l, h, w: np.log(w / h), 0.02),
        (lambda t, l, h, w: (t + h / 2) / 32, 0.04),
        (lambda t, l, h, w: (l + w / 2) / 32, 0.04),
    ]
    for measure, limit in measures:
        found, usual = measure(*map(np.asarray, (top, left, height, width))), measure(*crops)
        np.testing.assert_allclose(np.quantile(found, shares), np.quantile(usual, shares), atol=limit)


def test_a_crop_shows_its_rectangle_and_half_are_flipped():
    def keys():
        return jax.random.split(jax.random.key(1), 200)

    rows, columns = jax.jit(jax.vmap(lambda k: augment.random_crop(k, (16, 16), CONFIG)))(keys())
    four = jax.vmap(lambda k: jax.random.split(k, 5)[:4])(keys())
    rectangles = jax.vmap(lambda k: jnp.stack(augment.random_rectangle(k, (16, 16), CONFIG.min_area)))(four)
    top, left, height, width = np.asarray(rectangles).T
    np.testing.assert_allclose(np.stack([rows, columns]).sum(-1), 1, atol=1e-5)
    assert min(rows.min(), columns.min()) >= 0
    # Three pixels away from the ends of the image no weight is cut off, and the centroid is, sampling aside, the point.
    middle = np.asarray(columns)[:, 3:5].mean(1) @ (np.arange(16) + 0.5)
    np.testing.assert_allclose(middle, left + width / 2, atol=0.08)
    np.testing.assert_allclose(np.asarray(rows)[:, 3:5].mean(1) @ (np.arange(16) + 0.5), top + height / 2, atol=0.08)
    flipped = np.asarray(columns)[:, 5] @ np.arange(16) < np.asarray(columns)[:, 2] @ np.arange(16)
    assert 70 < flipped.sum() < 130


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


def test_jitter_is_the_plain_one_with_factors_spread_evenly(images):
    mean = jnp.asarray(0.4, jnp.float32)
    always = AugmentConfig(brightness=0.4, contrast=0.3, saturation=0.2, hue=0.1, jitter=1.0, grey=0.0)

    def only(**strengths):
        alone = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0} | strengths
        config = dataclasses.replace(always, **alone)
        keys = jax.random.split(jax.random.key(2), 2000)
        return map(np.asarray, jax.vmap(lambda key: augment.random_colour_map(key, mean, config))(keys))

    limit = 1.63 / 2000**0.5  # Kolmogorov's at 1 %
    matrix, offset = only(brightness=0.4)
    assert plain.distance_to_uniform(matrix[:, 0, 0], 0.6, 1.4) < limit
    np.testing.assert_allclose(offset, 0, atol=1e-6)
    matrix, offset = only(contrast=0.3)
    assert plain.distance_to_uniform(matrix[:, 0, 0], 0.7, 1.3) < limit
    np.testing.assert_allclose(offset[:, 0], 0.4 * (1 - matrix[:, 0, 0]), atol=1e-5)
    matrix, _ = only(saturation=0.2)
    assert plain.distance_to_uniform(matrix[:, 0, 0] - matrix[:, 1, 0], 0.8, 1.2) < limit
    matrix, _ = only(hue=0.1)
    turned = np.array(augment.YIQ) @ matrix @ np.linalg.inv(augment.YIQ)
    assert plain.distance_to_uniform(np.arctan2(turned[:, 2, 1], turned[:, 1, 1]) / (2 * np.pi), -0.1, 0.1) < limit

    x = images[0] / 255
    grey = jnp.asarray(augment.luminance(jnp.asarray(x, jnp.float32)).mean())
    matrix, offset = augment.colour_map(1.2, 0.7, 1.3, 0.0, grey)
    np.testing.assert_allclose(
        x @ np.asarray(matrix).T + np.asarray(offset), plain.jittered(x, 1.2, 0.7, 1.3), atol=1e-5
    )


@pytest.mark.parametrize("turns", [-0.1, 0.05, 0.1])
def test_hue_moves_as_in_hsv(turns):
    colours = np.random.default_rng(0).uniform(0.25, 0.75, (500, 3))
    ours = colours @ np.asarray(augment.hue_matrix(-turns)).T
    usual = np.array([plain.hue_turned(colour, turns) for colour in colours])
    hues = [np.array([colorsys.rgb_to_hsv(*colour)[0] for colour in x]) for x in (colours, ours, usual)]
    moved, expected = ((after - hues[0] + 0.5) % 1 - 0.5 for after in hues[1:])
    np.testing.assert_allclose(expected, turns, atol=1e-6)
    np.testing.assert_allclose(np.median(moved), turns, rtol=0.15)
    assert np.abs(moved - expected).mean() < 0.3 * abs(turns)  # HSV's hues are a hexagon, not a circle


@pytest.mark.parametrize(("sigma", "largest"), [(0.05, 0.5), (0.8, 1.0), (1.0, 1.0), (2.0, 2.0)])
def test_blur_is_the_plain_loop(images, sigma, largest):
    image = images[3, :12, :10] / 255
    rows, columns = augment.blur_matrix(sigma, 12, largest), augment.blur_matrix(sigma, 10, largest)
    found = augment.resample(jnp.asarray(image, jnp.float32), rows, columns)
    np.testing.assert_allclose(found, plain.blurred(image, sigma, max(round(3 * largest), 1)), atol=1e-5)


def test_blur_and_solarisation_change_nothing_else(images):
    """The same crop and colours with and without them, each as likely as it should be."""
    config = AugmentConfig(size=8, blur=0.5, blur_sigma=(1.0, 4.0), solarise=0.3)
    image = jnp.asarray(images[0] / 255, jnp.float32)

    def drawn(**changes):
        changed = dataclasses.replace(config, **changes)
        one = jax.jit(jax.vmap(lambda key: augment.random_view(key, image, changed)))
        return one(jax.random.split(jax.random.key(4), 600))

    neither, solarised = np.asarray(drawn(blur=0.0, solarise=0.0)), np.asarray(drawn(blur=0.0))
    inverted = np.abs(solarised - plain.solarised(neither, 0.5)).max((1, 2, 3)) < 1e-5
    same = np.abs(solarised - neither).max((1, 2, 3)) < 1e-5
    assert (inverted | same).all()
    assert 0.24 < inverted.mean() < 0.36
    blurred = np.asarray(drawn(solarise=0.0))
    sharp = np.abs(blurred - neither).max((1, 2, 3)) < 1e-5
    assert 0.43 < sharp.mean() < 0.57
    # Blur leaves colours alone: the same mean but for the mirror's ends, and less variance.
    np.testing.assert_allclose(blurred[~sharp].mean((1, 2)), neither[~sharp].mean((1, 2)), atol=0.06)
    assert (blurred[~sharp].var((1, 2)).sum(-1) <= neither[~sharp].var((1, 2)).sum(-1) + 1e-6).mean() > 0.95


def test_blur_s_width_goes_with_the_view_s():
    def spread(size, key):
        config = AugmentConfig(size=size, blur=1.0, blur_sigma=(1.0, 1.0))
        row = np.asarray(augment.random_blur(key, config))[size // 2]
        return (row @ (np.arange(size) - size // 2) ** 2) ** 0.5

    np.testing.assert_allclose(spread(32, jax.random.key(0)), 1.0, rtol=0.03)  # cut at 3 σ
    np.testing.assert_allclose(spread(64, jax.random.key(0)), 2.0, rtol=0.03)
