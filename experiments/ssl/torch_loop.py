"""The same training loop in PyTorch, for comparing speeds: `python -m experiments.ssl.torch_loop --preset gpu-9min`.

ResNet-18 under SSL-HSIC as a preset of `experiments.ssl` has it, written as one would in PyTorch: channels last,
bfloat16 autocast, `torch.compile`, images on the device as uint8, views drawn there for the whole batch at once, LARS
by `torch._foreach`. It trains on noise, which is as fast as photographs, and prints images a second. No other module
imports this one, and it needs torch alone. A step is that of `train.py` (`tests/experiments/test_torch_loop.py`), but
for the padding of strided convolutions, which PyTorch has on both sides of an even length.
"""

# pyright: reportMissingImports=false

import argparse
import json
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.ssl.config import AugmentConfig, Config, ModelConfig, OptimiserConfig, load_preset

LUMA = (0.299, 0.587, 0.114)
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
WARM_UP = 20  # steps before the clock starts: compilation, and the choice of convolutions


class Block(nn.Module):
    """Two 3 × 3 convolutions and a skip."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = convolution(inputs, width, 3, stride), convolution(width, width, 3)
        same = stride == 1 and inputs == width
        self.shortcut = nn.Identity() if same else convolution(inputs, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.second(functional.relu(self.first(x))))


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution and batch norm by the statistics of the batch, as ours: no running averages."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs, track_running_stats=False),
    )


def network(config: ModelConfig, width: int = 64) -> nn.Sequential:
    """ResNet-18 for 32 × 32 pixels, and the projector."""
    layers: list[nn.Module] = [convolution(3, width, 3), nn.ReLU()]
    inputs = width
    for stage in range(4):
        for block in range(2):
            outputs = width * 2**stage
            layers.append(Block(inputs, outputs, 2 if stage and not block else 1))
            inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for _ in range(config.projector_layers - 1):
        layers += [nn.Linear(inputs, config.projector_hidden, bias=False)]
        layers += [nn.BatchNorm1d(config.projector_hidden, track_running_stats=False), nn.ReLU()]
        inputs = config.projector_hidden
    layers += [nn.Linear(inputs, config.projector_dim, bias=False)]
    if config.projector_norm:
        layers += [nn.BatchNorm1d(config.projector_dim, affine=False, track_running_stats=False)]
    made = nn.Sequential(*layers)
    for one in made.modules():
        if isinstance(one, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(one.weight, nonlinearity="relu")
    return made


def ssl_hsic_loss(projections: Tensor, num_views: int, gamma: float, scale: float) -> Tensor:
    """−dep + γ√HSIC(Z, Z) of projections [MB, d], unbiased dep, inverse multiquadric kernel: `kerneldep`'s SSLHSIC."""
    z = functional.normalize(projections.to(torch.promote_types(projections.dtype, torch.float32)), dim=1)
    kernel = scale * torch.rsqrt(scale**2 + (2 - 2 * z @ z.T).clamp_min(0))
    n, batch = len(z), len(z) // num_views
    blocks = kernel.reshape(num_views, batch, num_views, batch).diagonal(dim1=1, dim2=3)  # same image [M, M, B]
    same, own = blocks.sum(), kernel.diagonal().sum()
    positive = (same - own) / (batch * num_views * (num_views - 1))
    other = (kernel.sum() - same) / (n**2 - batch * num_views**2)
    centred = kernel - kernel.mean(0, keepdim=True) - kernel.mean(1, keepdim=True) + kernel.mean()
    return other - positive + gamma * (centred**2).sum().sqrt() / n


def draw_views(images: Tensor, num_views: int, config: AugmentConfig) -> Tensor:
    """Normalised views [MB, 3, size, size] of uint8 images [B, 3, h, w], drawn as `augment.views` draws them."""
    pixels = images.repeat(num_views, 1, 1, 1).float() / 255
    count, _, height, width = pixels.shape
    device = images.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=device)

    def happens(probability: float) -> Tensor:
        return torch.rand(count, device=device) < probability

    side = uniform(config.min_area, 1).sqrt()
    stretch = (0.5 * uniform(math.log(3 / 4), math.log(4 / 3))).exp()
    tall, wide = (side * stretch).clamp_max(1) * height, (side / stretch).clamp_max(1) * width
    rows = resize_matrix(uniform(0, 1) * (height - tall), tall, config.size, height)
    columns = resize_matrix(uniform(0, 1) * (width - wide), wide, config.size, width)
    columns = torch.where(happens(config.flip)[:, None, None], columns.flip(1), columns)
    views = rows[:, None] @ pixels @ columns.transpose(1, 2)[:, None]

    luma = torch.tensor(LUMA, device=device)
    mean_grey = torch.einsum("c,bchw->b", luma, views) / config.size**2
    brightness, contrast, saturation = (
        uniform(max(0.0, 1 - strength), 1 + strength)
        for strength in (config.brightness, config.contrast, config.saturation)
    )
    matrix, offset = colour_map(brightness, contrast, saturation, uniform(-config.hue, config.hue), mean_grey)
    eye = torch.eye(3, device=device)
    jitter = happens(config.jitter)
    matrix = torch.where(jitter[:, None, None], matrix, eye)
    offset = torch.where(jitter[:, None], offset, 0)
    grey = torch.where(happens(config.grey)[:, None, None], luma.expand(3, 3), eye)
    matrix, offset = grey @ matrix, (grey @ offset[:, :, None])[:, :, 0]
    views = (torch.einsum("bcd,bdhw->bchw", matrix, views) + offset[:, :, None, None]).clamp(0, 1)
    return (views - 0.5) / 0.25


def resize_matrix(start: Tensor, extent: Tensor, size: int, length: int) -> Tensor:
    """Interpolation weights [B, size, length], anti-aliased: `augment.resize_matrix` for a batch."""
    step = (extent / size)[:, None, None]
    centres = start[:, None, None] + (torch.arange(size, device=start.device)[:, None] + 0.5) * step - 0.5
    distance = (torch.arange(length, device=start.device) - centres).abs() / step.clamp_min(1)
    weights = (1 - distance).clamp_min(0)
    return weights / weights.sum(2, keepdim=True)


def colour_map(
    brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor, mean_grey: Tensor
) -> tuple[Tensor, Tensor]:
    """Matrices [B, 3, 3] and offsets [B, 3]: `augment.colour_map` for a batch."""
    device = hue.device
    luma, to_yiq, eye = (torch.tensor(one, device=device) for one in (LUMA, YIQ, torch.eye(3).tolist()))
    cos, sin = (2 * math.pi * hue).cos(), (2 * math.pi * hue).sin()
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).reshape(-1, 3, 3)
    hues = torch.linalg.inv(to_yiq) @ rotation @ to_yiq
    matrix = hues @ (saturation[:, None, None] * eye + (1 - saturation)[:, None, None] * luma.expand(3, 3))
    shift = brightness * (1 - contrast) * mean_grey
    return (brightness * contrast)[:, None, None] * matrix, matrix.sum(2) * shift[:, None]


class Lars:
    """LARS as `optimisers.make_optimiser` has it: scales and shifts neither decay nor are adapted."""

    def __init__(self, parameters: Sequence[Tensor], config: OptimiserConfig) -> None:
        self.weights = [p for p in parameters if p.ndim > 1]
        self.rest = [p for p in parameters if p.ndim <= 1]
        self.config = config
        self.memory = [torch.zeros_like(p) for p in (*self.weights, *self.rest)]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step, from the parameters' gradients, which are cleared."""
        gradients: list[Any] = [p.grad for p in self.weights]
        updates = list(torch._foreach_add(gradients, self.weights, alpha=self.config.weight_decay))
        norms = zip(torch._foreach_norm(self.weights), torch._foreach_norm(updates), strict=True)
        bounds = ((self.config.trust_coefficient * p, rate * u) for p, u in norms)
        ratios = [torch.where((w > 0) & (u > w), w / u.clamp_min(1e-30), 1.0) for w, u in bounds]
        torch._foreach_mul_(updates, ratios)
        updates += [p.grad for p in self.rest]  # pyright: ignore[reportOperatorIssue]
        torch._foreach_mul_(self.memory, self.config.momentum)
        torch._foreach_add_(self.memory, updates)
        torch._foreach_add_([*self.weights, *self.rest], self.memory, alpha=-rate)
        for p in (*self.weights, *self.rest):
            p.grad = None


def learning_rate(config: Config, step: int, steps: int) -> float:
    """Warm-up from 0, then a half cosine to 0."""
    peak = config.optimiser.learning_rate
    peak *= config.training.batch_size / 256 if config.optimiser.linear_scaling else 1
    warm = max(1, round(config.optimiser.warmup * steps))
    if step < warm:
        return peak * step / warm
    return peak * (1 + math.cos(math.pi * min(1, (step - warm) / max(1, steps - warm)))) / 2


def time_training(
    config: Config, *, seconds: float, batch_size: int, width: int, mode: str | None, num_images: int = 50_000
) -> dict[str, Any]:
    """Trains for a while, and says how fast.

    Args:
        config: a preset of ResNet-18 with SSL-HSIC, without a target network.
        seconds: on the clock, after the warm-up.
        batch_size: images a step.
        width: channels of the first stage; 64 for ResNet-18.
        mode: of `torch.compile`; None for eager.
        num_images: on the device.
    """
    parameters = config.objective.parameters
    if config.objective.name != "ssl_hsic" or not set(parameters) <= {"gamma", "scale"}:
        raise ValueError(f"Only ssl_hsic with gamma and scale is here, not {config.objective}.")
    if config.optimiser.name != "lars" or config.model.encoder != "resnet18":
        raise ValueError("Only ResNet-18 trained by LARS is here.")
    if config.augment.blur or config.augment.solarise:
        raise ValueError("Blur and solarisation are not here.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(config.seed)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    images = torch.randint(0, 256, (num_images, 3, 32, 32), dtype=torch.uint8, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    made: Any = network(config.model, width).to(device, memory_format=torch.channels_last)
    optimiser = Lars(list(made.parameters()), config.optimiser)
    half = config.model.compute_dtype == "bfloat16"
    gamma, scale = float(parameters.get("gamma", 3.0)), float(parameters.get("scale", 0.5))

    def loss(batch: Tensor) -> Tensor:
        with torch.no_grad():
            views = draw_views(batch, 2, config.augment).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            projections = made(views)
        return ssl_hsic_loss(projections, 2, gamma, scale)

    compiled = loss if mode is None else torch.compile(loss, mode=mode)
    steps, done, value = config.training.epochs * (num_images // batch_size), 0, torch.zeros(())
    order, begun, counted = torch.randperm(num_images, device=device), 0.0, 0
    while not begun or time.perf_counter() - begun < seconds:
        if done == WARM_UP:
            synchronise(device)
            begun, counted = time.perf_counter(), 0
        at = done % (num_images // batch_size) * batch_size
        if not at:
            order = torch.randperm(num_images, device=device)
        value = compiled(images[order[at : at + batch_size]])
        value.backward()
        optimiser.step(learning_rate(config, done, steps))
        done, counted = done + 1, counted + 1
        if counted % WARM_UP == 0:
            synchronise(device)  # what was asked for is then done, not queued
    synchronise(device)
    return {
        "images_per_second": counted * batch_size / (time.perf_counter() - begun),
        "steps": counted,
        "batch_size": batch_size,
        "loss": value.item(),
        "num_parameters": sum(p.numel() for p in made.parameters()),
        "compile": mode,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }


def synchronise(device: torch.device) -> None:
    """Waits for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ssl.torch_loop", description="Times the training of ResNet-18 under SSL-HSIC."
    )
    parser.add_argument("--preset", default="gpu-9min")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--batch-size", type=int, help="that of the preset by default")
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--mode", default="default", help="of torch.compile, e.g. max-autotune; eager for none")
    chosen = parser.parse_args()
    config = load_preset(chosen.preset, "ssl_hsic")
    mode = None if chosen.mode == "eager" else chosen.mode
    batch_size = chosen.batch_size or config.training.batch_size
    found = time_training(config, seconds=chosen.seconds, batch_size=batch_size, width=chosen.width, mode=mode)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
