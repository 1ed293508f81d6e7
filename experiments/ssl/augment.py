"""Random views of images: resized crop, flip, blur, colour jitter, grey and solarisation, inside the jitted step.

All but the last is linear, so that it is fast on a CPU as well: a crop resized with anti-aliasing, perhaps flipped and
blurred, is one interpolation matrix for the rows and one for the columns, and all colour operations together are one
affine map of the three channels. Blur commutes with that map, so its place among them does not matter. Each image has
its own key, so a view does not depend on the batch it is drawn in.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Scalar, UInt8

from experiments.ssl.config import AugmentConfig

LUMA = (0.299, 0.587, 0.114)
# Red, green, blue to luminance and two chrominance axes (YIQ); turning the chrominance plane turns the hue.
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
FROM_YIQ = np.linalg.inv(YIQ).tolist()
REFERENCE_SIZE = 32  # of the views for which `blur_sigma` is meant
SOLARISE_THRESHOLD = 0.5
BLUR_DRAW, SOLARISE_DRAW = 2, 3  # `split(key, n)[i]` is `fold_in(key, i)`, and a view's key is split into two

Image = Float[Array, "height width 3"]
Number = Scalar | float
ColourMap = tuple[Float[Array, "3 3"], Float[Array, "3"]]


def views(images: UInt8[Array, "B h w 3"], num_views: int, config: AugmentConfig, *, key: Key[Array, ""]) -> Array:
    """Draws random views of every image.

    Args:
        images: uint8 images [B, h, w, 3].
        num_views: M.
        config: Output size and strengths.
        key: Randomness; image i and view m use `split(key, (M, B))[m, i]`.

    Returns:
        Normalised views [M, B, size, size, 3].
    """
    keys = jax.random.split(key, (num_views, len(images)))
    pixels = images.astype(jnp.float32) / 255
    over_images = jax.vmap(lambda key, image: random_view(key, image, config))
    return normalise(jax.vmap(over_images, in_axes=(0, None))(keys, pixels))


def center_view(images: UInt8[Array, "B h w 3"], size: int) -> Float[Array, "B size size 3"]:
    """The whole images at another size, normalised: what evaluation sees."""
    height, width = images.shape[1:3]
    rows, columns = resize_matrix(0.0, height, size, height), resize_matrix(0.0, width, size, width)
    return normalise(resample(images.astype(jnp.float32) / 255, rows, columns))


def normalise(pixels: Array) -> Array:
    """[0, 1] to about zero mean and unit variance, the same for every data set."""
    return (pixels - 0.5) / 0.25


def random_view(key: Key[Array, ""], image: Image, config: AugmentConfig) -> Image:
    """One random view of one image with values in [0, 1]."""
    crop_key, colour_key = jax.random.split(key)
    rows, columns = random_crop(crop_key, (image.shape[0], image.shape[1]), config)
    mean_grey = None
    if config.blur:
        mean_grey = rows.mean(0) @ luminance(image) @ columns.mean(0)  # before the blur, which moves it a little
        blur = random_blur(jax.random.fold_in(key, BLUR_DRAW), config)
        rows, columns = blur @ rows, blur @ columns
    view = resample(image, rows, columns)
    matrix, offset = random_colour_map(colour_key, luminance(view).mean() if mean_grey is None else mean_grey, config)
    view = jnp.clip(view @ matrix.T + offset[None, None], 0, 1)
    if config.solarise:
        chosen = jax.random.bernoulli(jax.random.fold_in(key, SOLARISE_DRAW), config.solarise)
        view = jnp.where(chosen, solarise(view), view)
    return view


def resample(image: Array, rows: Float[Array, "s h"], columns: Float[Array, "t w"]) -> Array:
    """rows · image · columnsᵀ, channel by channel."""
    # The rows first: two products of matrices, where one three-factor einsum may choose a slower order.
    return jnp.einsum("tw,...swc->...stc", columns, jnp.einsum("sh,...hwc->...swc", rows, image))


def resize_matrix(start: Number, extent: Number, size: int, length: int) -> Float[Array, "size length"]:
    """Interpolation weights that resize [start, start + extent) of `length` pixels to `size` pixels.

    Linear interpolation with half-pixel centres. Where it shrinks, the triangle is widened by the factor, so that
    every input pixel counts (anti-aliasing). Pixels just outside the interval may enter at its ends.
    """
    step = extent / size
    centres = start + (jnp.arange(size) + 0.5) * step - 0.5
    distance = jnp.abs(jnp.arange(length)[None] - centres[:, None]) / jnp.maximum(step, 1)
    weights = jnp.maximum(1 - distance, 0)
    return weights / weights.sum(1, keepdims=True)


def random_crop(key: Key[Array, ""], shape: tuple[int, int], config: AugmentConfig) -> tuple[Array, Array]:
    """Row and column matrices of a random resized crop, flipped left to right with probability `flip`."""
    *keys, flip_key = jax.random.split(key, 5)
    top, left, height, width = random_rectangle(keys, shape, config.min_area)
    rows = resize_matrix(top, height, config.size, shape[0])
    columns = resize_matrix(left, width, config.size, shape[1])
    return rows, jnp.where(jax.random.bernoulli(flip_key, config.flip), columns[::-1], columns)


def random_rectangle(
    keys: Sequence[Key[Array, ""]], shape: tuple[int, int], min_area: float
) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """Top, left, height and width of a crop, in pixels and not rounded, from four keys.

    The area is uniform in [min_area, 1] of the image and the aspect ratio log-uniform in [3/4, 4/3]; a side longer
    than the image's is cut to it. Where torchvision rounds, and draws again what does not fit, crops are a little
    smaller: in the median by 4 to 6 % of the image's area.
    """
    area_key, ratio_key, row_key, column_key = keys
    side = jnp.sqrt(jax.random.uniform(area_key, minval=min_area, maxval=1.0))
    stretch = jnp.exp(0.5 * jax.random.uniform(ratio_key, minval=jnp.log(3 / 4), maxval=jnp.log(4 / 3)))
    height, width = jnp.minimum(side * stretch, 1.0) * shape[0], jnp.minimum(side / stretch, 1.0) * shape[1]
    top = jax.random.uniform(row_key) * (shape[0] - height)
    left = jax.random.uniform(column_key) * (shape[1] - width)
    return top, left, height, width


def random_blur(key: Key[Array, ""], config: AugmentConfig) -> Float[Array, "size size"]:
    """With probability `blur` the matrix of a blur with σ uniform in `blur_sigma`, else the identity."""
    blur_key, sigma_key = jax.random.split(key)
    low, high = config.blur_sigma
    sigma = jax.random.uniform(sigma_key, minval=low, maxval=high)
    matrix = blur_matrix(sigma * config.size / REFERENCE_SIZE, config.size, high * config.size / REFERENCE_SIZE)
    return jnp.where(jax.random.bernoulli(blur_key, config.blur), matrix, jnp.eye(config.size))


def blur_matrix(sigma: Number, size: int, largest: float) -> Float[Array, "size size"]:
    """Gaussian weights of standard deviation `sigma` pixels along one side, mirrored at the ends.

    The kernel reaches 3 · `largest` pixels to both sides (at least 1), however small `sigma` is, and its weights sum
    to 1. The mirror does not repeat the pixel at the end.
    """
    radius = min(max(round(3 * largest), 1), size - 1)
    offsets = jnp.arange(-radius, radius + 1)
    weights = jax.nn.softmax(-0.5 * (offsets / sigma) ** 2)
    at = jnp.abs(jnp.arange(size)[:, None] + offsets[None])
    at = jnp.minimum(at, 2 * (size - 1) - at)
    return (weights[None, :, None] * jax.nn.one_hot(at, size)).sum(1)


def solarise(pixels: Array) -> Array:
    """Inverts the values in [0, 1] that are not below the threshold."""
    return jnp.where(pixels >= SOLARISE_THRESHOLD, 1 - pixels, pixels)


def luminance(pixels: Array) -> Array:
    """Grey value of every pixel."""
    return pixels @ jnp.asarray(LUMA)


def random_colour_map(key: Key[Array, ""], mean_grey: Scalar, config: AugmentConfig) -> ColourMap:
    """A random jitter (with probability `jitter`), then grey (with probability `grey`), as one affine map."""
    jitter_key, grey_key, *keys = jax.random.split(key, 6)

    def factor(key: Key[Array, ""], strength: float) -> Scalar:
        return jax.random.uniform(key, minval=max(0.0, 1 - strength), maxval=1 + strength)

    matrix, offset = colour_map(
        factor(keys[0], config.brightness),
        factor(keys[1], config.contrast),
        factor(keys[2], config.saturation),
        jax.random.uniform(keys[3], minval=-config.hue, maxval=config.hue),
        mean_grey,
    )
    jitter = jax.random.bernoulli(jitter_key, config.jitter)
    matrix, offset = jnp.where(jitter, matrix, jnp.eye(3)), jnp.where(jitter, offset, 0)
    grey = jnp.where(jax.random.bernoulli(grey_key, config.grey), saturation_matrix(0.0), jnp.eye(3))
    return grey @ matrix, grey @ offset


def colour_map(
    brightness: Number,
    contrast: Number,
    saturation: Number,
    hue: Number,
    mean_grey: Scalar,
) -> ColourMap:
    """Brightness, contrast, saturation and hue, in this order, as pixels ↦ matrix · pixels + offset.

    Brightness and contrast are factors (1 changes nothing); contrast scales about the image's mean grey value,
    saturation about each pixel's own; hue is in turns of the chrominance plane. Values are cut to [0, 1] only after
    all of them.
    """
    matrix = hue_matrix(hue) @ saturation_matrix(saturation)
    return brightness * contrast * matrix, matrix @ jnp.full(3, brightness * (1 - contrast) * mean_grey)


def saturation_matrix(factor: Number) -> Float[Array, "3 3"]:
    """factor · pixel + (1 − factor) · its grey value; 0 is grey."""
    return factor * jnp.eye(3) + (1 - factor) * jnp.tile(jnp.asarray(LUMA), (3, 1))


def hue_matrix(turns: Number) -> Float[Array, "3 3"]:
    """A rotation of the chrominance plane by `turns` of a full turn, from red through blue to green.

    Hue by hue that is close to moving the hue of HSV by −`turns`; it keeps luminance, which HSV does not.
    """
    cos, sin = jnp.cos(2 * jnp.pi * turns), jnp.sin(2 * jnp.pi * turns)
    zero, one = jnp.zeros_like(cos), jnp.ones_like(cos)
    rotation = jnp.stack([jnp.stack([one, zero, zero]), jnp.stack([zero, cos, -sin]), jnp.stack([zero, sin, cos])])
    return jnp.asarray(FROM_YIQ) @ rotation @ jnp.asarray(YIQ)
