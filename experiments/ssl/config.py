"""What a run is: every choice in frozen dataclasses, presets in TOML, and a hash that names the run."""

import dataclasses
import hashlib
import json
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PRESETS = Path(__file__).parent / "presets"


class _Checked:
    """Refuses a word that is not among the choices, from whatever file or command line it comes."""

    def __post_init__(self) -> None:
        for name, kind in typing.get_type_hints(type(self)).items():
            several = typing.get_origin(kind) is tuple
            choice = typing.get_args(kind)[0] if several else kind
            known, value = typing.get_args(choice), getattr(self, name)
            if typing.get_origin(choice) is Literal and (unknown := set(value if several else (value,)) - set(known)):
                raise ValueError(f"{name} can be {', '.join(known)}, not {', '.join(map(str, unknown))}.")


@dataclass(frozen=True)
class DataConfig(_Checked):
    """Which images. Tuning probes held-out training images alone; only a preset's final summary sees test images."""

    name: Literal["auto", "cifar10", "digits"] = "auto"
    num_train: int = 10_000  # the first training images: the encoder and both probes learn from these
    num_heldout: int = 5_000  # the last training images
    probe: tuple[Literal["heldout", "test"], ...] = ("heldout",)  # splits to report accuracies on


@dataclass(frozen=True)
class AugmentConfig:
    """Random views; strengths as in the usual colour jitter, probabilities in [0, 1]."""

    size: int = 16  # pixels on a side of a view
    min_area: float = 0.25
    flip: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grey: float = 0.2
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)  # pixels of a view of 32; views of another size scale it
    solarise: float = 0.0


@dataclass(frozen=True)
class ModelConfig(_Checked):
    """An encoder, and its heads."""

    # The small one for CPUs, whose features are means of its last map or, as "pyramid", of quadrants of its last two;
    # or ResNet-18 for 32 × 32 pixels.
    encoder: Literal["patches", "pyramid", "resnet18"] = "patches"
    compute_dtype: Literal["float32", "bfloat16"] = "float32"  # of convolutions; parameters and statistics: float32
    convolution: Literal["auto", "patches", "xla"] = "auto"  # "auto": one product of patches on CPUs, else XLA's
    patch: int = 4  # this and the next three: of the encoder on patches alone
    stride: int = 2
    widths: tuple[int, ...] = (64, 128)
    blocks: tuple[int, ...] = (1, 1)
    projector_layers: int = 2  # 2 or 3
    projector_hidden: int = 256
    projector_dim: int = 64
    projector_norm: bool = True  # a non-affine batch norm on the projector's output
    predictor_hidden: int = 256
    eval_size: int = 20  # whole images are resized to this, the scale at which crops showed their contents


@dataclass(frozen=True)
class OptimiserConfig(_Checked):
    """Warm-up, then cosine decay to 0."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    learning_rate: float = 2e-3
    linear_scaling: bool = False  # whether the rate is that of a batch of 256, and grows with the batch
    weight_decay: float = 1e-4
    momentum: float = 0.9  # of SGD (Nesterov's) and LARS
    trust_coefficient: float = 0.02  # of LARS, whose step is at most the learning rate times the gradient
    warmup: float = 0.1  # share of all steps


@dataclass(frozen=True)
class TrainingConfig(_Checked):
    """How long, and in what steps."""

    epochs: int = 10
    batch_size: int = 256
    steps_per_call: int = 13
    ema_decay: float = 0.99  # of the target network; with "cosine" it is the first, and grows to 1
    ema_schedule: Literal["constant", "cosine"] = "constant"
    checkpoint_every: int = 200  # steps, rounded down to whole calls; a killed run loses at most these, or one call


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured besides k-NN and linear accuracy at the end."""

    every: int = 0  # steps between diagnostics on held-out views, at the ends of jitted calls; 0: none
    sgd_epochs: int = 0  # of the linear probe by SGD on augmented views; 0: without it
    label_shares: tuple[float, ...] = ()  # of the training labels, for linear probes that see only these


@dataclass(frozen=True)
class ObjectiveConfig:
    """An objective of `kerneldep.objectives` by name, and its parameters."""

    name: str = "ssl_hsic"
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """One run."""

    preset: str = "custom"
    seed: int = 0
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    @property
    def name(self) -> str:
        """The run's folder: `<objective>-<preset>-seed<k>-<hash8>`."""
        return f"{self.objective.name}-{self.preset}-seed{self.seed}-{config_hash(self)}"


def to_dict(config: Config) -> dict[str, Any]:
    """Plain numbers, strings, lists and dictionaries."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values: dict[str, Any]) -> Config:
    """The configuration that `to_dict` made so; what is missing takes its default."""
    parts = {one.name: one.default_factory for one in dataclasses.fields(Config)}
    made: dict[str, Any] = {
        name: parts[name](**_tuples(value)) if isinstance(value, dict) else value  # pyright: ignore[reportCallIssue]
        for name, value in values.items()
    }
    return Config(**made)


def config_hash(config: Config) -> str:
    """Eight hexadecimal digits of all choices, the same on every machine and for every order of the fields."""
    return hashlib.sha256(json.dumps(dataclasses.asdict(config), sort_keys=True).encode()).hexdigest()[:8]


def load_preset(preset: str, objective: str, seed: int = 0) -> Config:
    """Reads `presets/<preset>.toml`.

    It has a table for each part, such as `[training]`, and `[objectives.<name>]` with the parameters of an objective;
    `[objectives.<name>.training]` is what that objective changes in a part.
    """
    path = PRESETS / f"{preset}.toml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in PRESETS.glob("*.toml")))
        raise ValueError(f"There is no preset {preset!r}; there are {known}.")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    parameters = dict(tables.pop("objectives", {}).get(objective, {}))
    parts = {"data": DataConfig, "augment": AugmentConfig, "model": ModelConfig, "optimiser": OptimiserConfig}
    parts |= {"training": TrainingConfig, "evaluation": EvaluationConfig}
    if unknown := set(tables) - set(parts):
        raise ValueError(f"{path.name} has unknown tables {sorted(unknown)}; known are {sorted(parts)} and objectives.")
    changes = {part: parameters.pop(part, {}) for part in parts}
    built = {part: made(**_tuples(tables.get(part, {}) | changes[part])) for part, made in parts.items()}
    return Config(preset=preset, seed=seed, objective=ObjectiveConfig(objective, parameters), **built)


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
