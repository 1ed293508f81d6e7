"""Convolution and batch norm, on whole batches of images [B, H, W, C].

Batch norm keeps no running averages: called without `statistics` a network uses those of its batch and returns them,
called with them it is a fixed function of each image. Moments are taken in float32, whatever the inputs' precision.
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

EPSILON = 1e-5
Moments = tuple[Array, Array]
Statistics = list[Moments]
Convolution = Literal["auto", "patches", "xla"]


class Recorder:
    """Gives each batch norm its fixed moments, or takes down those of the batch; the order of calls names the layer."""

    def __init__(self, fixed: Statistics | None) -> None:
        self.fixed = None if fixed is None else iter(fixed)
        self.taken: Statistics = []

    def moments(self, x: Array) -> Moments:
        if self.fixed is not None:
            return next(self.fixed)
        axes = tuple(range(x.ndim - 1))
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        mean = wide.mean(axes)
        if x.dtype == wide.dtype:
            variance = wide.var(axes)
        else:  # one pass over memory: the digits it cancels are not in half-precision inputs anyway
            variance = jnp.maximum((wide**2).mean(axes) - mean**2, 0)
        self.taken.append((mean, variance))
        return self.taken[-1]


class BatchNorm(eqx.Module):
    """(x − mean) / √(var + ε) by channel, then a trained scale and shift if `affine`; computed in float32."""

    scale: Array | None
    shift: Array | None

    def __init__(self, width: int, *, affine: bool = True) -> None:
        self.scale, self.shift = (jnp.ones(width), jnp.zeros(width)) if affine else (None, None)

    def __call__(self, x: Array, recorder: Recorder) -> Array:
        mean, variance = recorder.moments(x)
        factor = jax.lax.rsqrt(variance + EPSILON)
        if self.scale is not None:
            factor = factor * self.scale
        y = (x - _channels(mean, x)) * _channels(factor, x)
        y = y if self.shift is None else y + _channels(self.shift, x)
        return y.astype(x.dtype)


class Conv(eqx.Module):
    """Convolution of [B, H, W, C] in the images' precision and batch norm; SAME padding."""

    weight: Float[Array, "size size inputs outputs"]
    norm: BatchNorm
    stride: int = eqx.field(static=True)
    convolution: Convolution = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        stride: int = 1,
        *,
        convolution: Convolution = "auto",
        key: Key[Array, ""],
    ) -> None:
        self.weight = he_normal(key, (size, size, inputs, outputs), size * size * inputs)
        self.norm = BatchNorm(outputs)
        self.stride, self.convolution = stride, convolution

    def __call__(self, x: Array, recorder: Recorder) -> Array:
        return self.norm(convolve(x, self.weight.astype(x.dtype), self.stride, self.convolution), recorder)


def convolve(
    x: Float[Array, "B h w c"], weight: Float[Array, "k k c d"], stride: int, convolution: Convolution = "patches"
) -> Float[Array, "B _h _w d"]:
    """Convolution with SAME padding.

    Args:
        x: images.
        weight: of k × k pixels.
        stride: of both axes.
        convolution: "patches", one product of a matrix of patches with the weights; "xla", XLA's own; or "auto",
            the first on CPUs and the second elsewhere. On a CPU the two are equally quick, but XLA's is some 50 times
            slower inside a loop such as `lax.scan`, which runs the training steps. Patches take k² times the memory.
    """
    if convolution == "xla" or (convolution == "auto" and jax.default_backend() != "cpu"):
        names = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, weight, (stride, stride), "SAME", dimension_numbers=names)
    return _convolve_patches(x, weight, stride)


def _convolve_patches(x: Array, weight: Array, stride: int) -> Array:
    size, (batch, height, width, channels) = weight.shape[0], x.shape
    if size == stride and not (height % size or width % size):  # patches that do not overlap
        patches = x.reshape(batch, height // size, size, width // size, size, channels).swapaxes(2, 3)
    else:
        rows, columns = -(-height // stride), -(-width // stride)
        pads = [_same_padding(length, size, stride) for length in (height, width)]
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        patches = jnp.concatenate(
            [
                x[:, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]
                for i in range(size)
                for j in range(size)
            ],
            axis=-1,
        )
    flat = patches.reshape(*patches.shape[:3], size * size * channels)
    return flat @ weight.reshape(size * size * channels, -1)


def _same_padding(length: int, size: int, stride: int) -> tuple[int, int]:
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def _channels(values: Array, x: Array) -> Array:
    """[C] with leading axes for x [..., C]."""
    return values.reshape((1,) * (x.ndim - 1) + values.shape)


def he_normal(key: Key[Array, ""], shape: tuple[int, ...], fan_in: int) -> Array:
    """Normal weights of variance 2/fan_in."""
    return jax.random.normal(key, shape) * (2 / fan_in) ** 0.5
