"""A small residual network that is quick on a CPU: convolutions only at 8 × 8 and below, after a patch stem.

Modules act on whole batches. Batch norm keeps no running averages: called without `statistics` a network uses those
of its batch and returns them, called with them it is a fixed function of each image. `calibrate` takes them once from
a fixed set of images, so that evaluation depends neither on the batch nor on how training ended.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from experiments.ssl.config import ModelConfig

EPSILON = 1e-5
Moments = tuple[Array, Array]
Statistics = list[Moments]


class _Recorder:
    """Gives each batch norm its fixed moments, or takes down those of the batch; the order of calls names the layer."""

    def __init__(self, fixed: Statistics | None) -> None:
        self.fixed = None if fixed is None else iter(fixed)
        self.taken: Statistics = []

    def moments(self, x: Array) -> Moments:
        if self.fixed is not None:
            return next(self.fixed)
        axes = tuple(range(x.ndim - 1))
        self.taken.append((x.mean(axes), x.var(axes)))
        return self.taken[-1]


class BatchNorm(eqx.Module):
    """(x − mean) / √(var + ε) by channel, then a trained scale and shift if `affine`."""

    scale: Array | None
    shift: Array | None

    def __init__(self, width: int, *, affine: bool = True) -> None:
        self.scale, self.shift = (jnp.ones(width), jnp.zeros(width)) if affine else (None, None)

    def __call__(self, x: Array, recorder: _Recorder) -> Array:
        mean, variance = recorder.moments(x)
        factor = jax.lax.rsqrt(variance + EPSILON)
        if self.scale is not None:
            factor = factor * self.scale
        y = (x - _channels(mean, x)) * _channels(factor, x)
        return y if self.shift is None else y + _channels(self.shift, x)


class Conv(eqx.Module):
    """Convolution of [B, H, W, C] and batch norm; SAME padding."""

    weight: Float[Array, "size size inputs outputs"]
    norm: BatchNorm
    stride: int = eqx.field(static=True)

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, key: Key[Array, ""]) -> None:
        self.weight = _he_normal(key, (size, size, inputs, outputs), size * size * inputs)
        self.norm = BatchNorm(outputs)
        self.stride = stride

    def __call__(self, x: Array, recorder: _Recorder) -> Array:
        return self.norm(convolve(x, self.weight, self.stride), recorder)


def convolve(x: Float[Array, "B h w c"], weight: Float[Array, "k k c d"], stride: int) -> Float[Array, "B _h _w d"]:
    """Convolution with SAME padding as one product of a matrix of patches with the weights.

    XLA's own convolution is as quick on a CPU, but some 50 times slower inside a loop such as `lax.scan`, which runs
    the training steps.
    """
    size, (batch, height, width, channels) = weight.shape[0], x.shape
    if size == stride:  # patches that do not overlap
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


class Block(eqx.Module):
    """Two 3 × 3 convolutions and a skip."""

    first: Conv
    second: Conv

    def __init__(self, width: int, *, key: Key[Array, ""]) -> None:
        first, second = jax.random.split(key)
        self.first, self.second = Conv(width, width, 3, key=first), Conv(width, width, 3, key=second)

    def __call__(self, x: Array, recorder: _Recorder) -> Array:
        return jax.nn.relu(x + self.second(jax.nn.relu(self.first(x, recorder)), recorder))


class Encoder(eqx.Module):
    """Images [B, size, size, 3] to features [B, widths[-1]]: patch stem, residual stages, mean pooling."""

    stem: Conv
    stages: list[list[Block]]
    transitions: list[Conv]

    def __init__(self, config: ModelConfig, *, key: Key[Array, ""]) -> None:
        stem_key, *keys = jax.random.split(key, 1 + len(config.widths))
        self.stem = Conv(3, config.widths[0], config.patch, config.stride, key=stem_key)
        self.stages, self.transitions = [], []
        for i, (width, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
            transition_key, *block_keys = jax.random.split(keys[i], 1 + blocks)
            if i > 0:
                self.transitions.append(Conv(config.widths[i - 1], width, 2, 2, key=transition_key))
            self.stages.append([Block(width, key=k) for k in block_keys])

    def __call__(self, images: Array, statistics: Statistics | None = None) -> tuple[Array, Statistics]:
        recorder = _Recorder(statistics)
        x = jax.nn.relu(self.stem(images, recorder))
        for i, stage in enumerate(self.stages):
            if i > 0:
                x = jax.nn.relu(self.transitions[i - 1](x, recorder))
            for block in stage:
                x = block(x, recorder)
        return x.mean((1, 2)), recorder.taken


class Head(eqx.Module):
    """Linear, batch norm, ReLU, linear and, if `norm`, a batch norm without scale and shift."""

    hidden: Float[Array, "inputs hidden"]
    hidden_norm: BatchNorm
    output: Float[Array, "hidden outputs"]
    output_norm: BatchNorm | None

    def __init__(self, inputs: int, hidden: int, outputs: int, *, norm: bool, key: Key[Array, ""]) -> None:
        hidden_key, output_key = jax.random.split(key)
        self.hidden = _he_normal(hidden_key, (inputs, hidden), inputs)
        self.hidden_norm = BatchNorm(hidden)
        self.output = _he_normal(output_key, (hidden, outputs), hidden)
        # Whitened coordinates keep the start far from the collapsed solution, which is a minimum when γ is large.
        self.output_norm = BatchNorm(outputs, affine=False) if norm else None

    def __call__(self, x: Array, statistics: Statistics | None = None) -> tuple[Array, Statistics]:
        recorder = _Recorder(statistics)
        x = jax.nn.relu(self.hidden_norm(x @ self.hidden, recorder)) @ self.output
        return (x if self.output_norm is None else self.output_norm(x, recorder)), recorder.taken


class Network(eqx.Module):
    """Encoder, projector and, if the objective wants one, predictor."""

    encoder: Encoder
    projector: Head
    predictor: Head | None

    def __init__(self, config: ModelConfig, *, predictor: bool, key: Key[Array, ""]) -> None:
        encoder_key, projector_key, predictor_key = jax.random.split(key, 3)
        dim, norm = config.projector_dim, config.projector_norm
        self.encoder = Encoder(config, key=encoder_key)
        self.projector = Head(config.widths[-1], config.projector_hidden, dim, norm=norm, key=projector_key)
        self.predictor = None
        if predictor:
            self.predictor = Head(dim, config.predictor_hidden, dim, norm=False, key=predictor_key)


def _channels(values: Array, x: Array) -> Array:
    """[C] with leading axes for x [..., C]."""
    return values.reshape((1,) * (x.ndim - 1) + values.shape)


def _he_normal(key: Key[Array, ""], shape: tuple[int, ...], fan_in: int) -> Array:
    return jax.random.normal(key, shape) * (2 / fan_in) ** 0.5
