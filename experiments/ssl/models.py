"""Networks: an encoder, a projector and perhaps a predictor.

`PatchEncoder` is a small residual network that is quick on a CPU: convolutions only at 8 × 8 and below, after a patch
stem. `ResNet18` is the one that published numbers on CIFAR-10 are of. Both take images in float32 and return features
in float32; in between they compute in the configured precision.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from experiments.ssl.config import ModelConfig
from experiments.ssl.layers import BatchNorm, Conv, Convolution, Recorder, Statistics, he_normal

RESNET_WIDTHS = (64, 128, 256, 512)


class Encoder(eqx.Module):
    """Images to features."""

    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(
        self, images: Float[Array, "B h w 3"], statistics: Statistics | None = None
    ) -> tuple[Float[Array, "B dim"], Statistics]:
        """Features, and the moments that batch norm took: those of the batch, unless `statistics` are given."""


def make_encoder(config: ModelConfig, *, key: Key[Array, ""]) -> Encoder:
    """The encoder by name."""
    if config.encoder == "resnet18":
        return ResNet18(config, key=key)
    return PatchEncoder(config, 2 if config.encoder == "pyramid" else 0, key=key)


class Block(eqx.Module):
    """Two 3 × 3 convolutions and a skip, a 1 × 1 convolution where the shape changes."""

    first: Conv
    second: Conv
    shortcut: Conv | None

    def __init__(
        self, inputs: int, width: int, stride: int = 1, *, convolution: Convolution, key: Key[Array, ""]
    ) -> None:
        first, second = jax.random.split(key)
        self.first = Conv(inputs, width, 3, stride, convolution=convolution, key=first)
        self.second = Conv(width, width, 3, convolution=convolution, key=second)
        self.shortcut = None
        if stride > 1 or inputs != width:
            third = jax.random.fold_in(key, 2)
            self.shortcut = Conv(inputs, width, 1, stride, convolution=convolution, key=third)

    def __call__(self, x: Array, recorder: Recorder) -> Array:
        y = self.second(jax.nn.relu(self.first(x, recorder)), recorder)
        return jax.nn.relu((x if self.shortcut is None else self.shortcut(x, recorder)) + y)


class PatchEncoder(Encoder):
    """Patch stem, residual stages between which 2 × 2 patches halve the sides; features pooled from the stages' maps.

    With `pyramid` = 0 the means of the last stage's map; with P > 0 the means of its four quadrants and of those of the
    P − 1 stages before it, side by side.
    """

    stem: Conv
    stages: list[list[Block]]
    transitions: list[Conv]
    pyramid: int = eqx.field(static=True)
    dim: int = eqx.field(static=True)
    dtype: str = eqx.field(static=True)

    def __init__(self, config: ModelConfig, pyramid: int = 0, *, key: Key[Array, ""]) -> None:
        stem_key, *keys = jax.random.split(key, 1 + len(config.widths))
        kind = config.convolution
        self.stem = Conv(3, config.widths[0], config.patch, config.stride, convolution=kind, key=stem_key)
        self.stages, self.transitions = [], []
        for i, (width, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
            transition_key, *block_keys = jax.random.split(keys[i], 1 + blocks)
            if i > 0:
                self.transitions.append(Conv(config.widths[i - 1], width, 2, 2, convolution=kind, key=transition_key))
            self.stages.append([Block(width, width, convolution=kind, key=k) for k in block_keys])
        self.pyramid, self.dtype = pyramid, config.compute_dtype
        self.dim = 4 * sum(config.widths[-pyramid:]) if pyramid else config.widths[-1]

    def __call__(self, images: Array, statistics: Statistics | None = None) -> tuple[Array, Statistics]:
        recorder = Recorder(statistics)
        x, maps = jax.nn.relu(self.stem(images.astype(self.dtype), recorder)), []
        for i, stage in enumerate(self.stages):
            if i > 0:
                x = jax.nn.relu(self.transitions[i - 1](x, recorder))
            for block in stage:
                x = block(x, recorder)
            maps.append(x)
        pooled = [_quadrants(x.astype(images.dtype)) for x in maps[-self.pyramid :]] if self.pyramid else []
        return jnp.concatenate(pooled, -1) if pooled else x.astype(images.dtype).mean((1, 2)), recorder.taken


def _quadrants(x: Float[Array, "B h w c"]) -> Float[Array, "B four_c"]:
    """Means of the four quadrants; those of odd sides share the middle."""
    halves = [(slice(-(-side // 2)), slice(side // 2, None)) for side in x.shape[1:3]]
    return jnp.concatenate([x[:, rows, columns].mean((1, 2)) for rows in halves[0] for columns in halves[1]], -1)


class ResNet18(Encoder):
    """ResNet-18 (He et al. 2016) for images of 32 × 32: a 3 × 3 stem without max-pooling; 11.17 million parameters."""

    stem: Conv
    blocks: list[Block]
    dim: int = eqx.field(static=True)
    dtype: str = eqx.field(static=True)

    def __init__(self, config: ModelConfig, *, key: Key[Array, ""]) -> None:
        stem_key, *keys = jax.random.split(key, 1 + 2 * len(RESNET_WIDTHS))
        kind = config.convolution
        self.stem = Conv(3, RESNET_WIDTHS[0], 3, convolution=kind, key=stem_key)
        self.blocks = []
        inputs = RESNET_WIDTHS[0]
        for i, block_key in enumerate(keys):
            width = RESNET_WIDTHS[i // 2]
            stride = 2 if width != inputs else 1
            self.blocks.append(Block(inputs, width, stride, convolution=kind, key=block_key))
            inputs = width
        self.dim, self.dtype = inputs, config.compute_dtype

    def __call__(self, images: Array, statistics: Statistics | None = None) -> tuple[Array, Statistics]:
        recorder = Recorder(statistics)
        x = jax.nn.relu(self.stem(images.astype(self.dtype), recorder))
        for block in self.blocks:
            x = block(x, recorder)
        return x.astype(images.dtype).mean((1, 2)), recorder.taken


class Head(eqx.Module):
    """Hidden layers of linear, batch norm and ReLU; linear; if `norm`, a batch norm without scale and shift."""

    hidden: list[Float[Array, "inputs hidden"]]
    hidden_norms: list[BatchNorm]
    output: Float[Array, "hidden outputs"]
    output_norm: BatchNorm | None
    dtype: str = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        layers: int = 2,
        norm: bool,
        dtype: str = "float32",
        key: Key[Array, ""],
    ) -> None:
        *hidden_keys, output_key = jax.random.split(key, layers)
        widths = [inputs] + [hidden] * (layers - 1)
        self.hidden = [he_normal(k, (width, hidden), width) for k, width in zip(hidden_keys, widths, strict=False)]
        self.hidden_norms = [BatchNorm(hidden) for _ in hidden_keys]
        self.output = he_normal(output_key, (hidden, outputs), hidden)
        # Whitened coordinates keep the start far from the collapsed solution, which is a minimum when γ is large.
        self.output_norm = BatchNorm(outputs, affine=False) if norm else None
        self.dtype = dtype

    def __call__(
        self, features: Float[Array, "B inputs"], statistics: Statistics | None = None
    ) -> tuple[Float[Array, "B outputs"], Statistics]:
        recorder = Recorder(statistics)
        x = features.astype(self.dtype)
        for weight, norm in zip(self.hidden, self.hidden_norms, strict=True):
            x = jax.nn.relu(norm(x @ weight.astype(x.dtype), recorder))
        y = jnp.matmul(x, self.output.astype(x.dtype), preferred_element_type=features.dtype)
        return (y if self.output_norm is None else self.output_norm(y, recorder)), recorder.taken


class Network(eqx.Module):
    """Encoder, projector and, if the objective wants one, predictor."""

    encoder: Encoder
    projector: Head
    predictor: Head | None

    def __init__(self, config: ModelConfig, *, predictor: bool, key: Key[Array, ""]) -> None:
        encoder_key, projector_key, predictor_key = jax.random.split(key, 3)
        dim, norm, dtype = config.projector_dim, config.projector_norm, config.compute_dtype
        hidden, layers = config.projector_hidden, config.projector_layers
        self.encoder = make_encoder(config, key=encoder_key)
        self.projector = Head(self.encoder.dim, hidden, dim, layers=layers, norm=norm, dtype=dtype, key=projector_key)
        self.predictor = None
        if predictor:
            self.predictor = Head(dim, config.predictor_hidden, dim, norm=False, dtype=dtype, key=predictor_key)
