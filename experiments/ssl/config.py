"""What a run is: every choice in frozen dataclasses, presets in TOML, and a hash that names the run."""

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PRESETS = Path(__file__).parent / "presets"
OBJECTIVES = ("ssl_hsic", "infonce")


@dataclass(frozen=True)
class DataConfig:
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


@dataclass(frozen=True)
class ModelConfig:
    """A small residual network on patches, and its heads."""

    patch: int = 4
    stride: int = 2
    widths: tuple[int, ...] = (64, 128)
    blocks: tuple[int, ...] = (1, 1)
    projector_hidden: int = 256
    projector_dim: int = 64
    projector_norm: bool = True  # a non-affine batch norm on the projector's output
    predictor_hidden: int = 256
    eval_size: int = 20  # whole images are resized to this, the scale at which crops showed their contents


@dataclass(frozen=True)
class OptimiserConfig:
    """Warm-up, then cosine decay to 0."""

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: float = 0.1  # share of all steps


@dataclass(frozen=True)
class TrainingConfig:
    """How long, and in what steps."""

    epochs: int = 10
    batch_size: int = 256
    steps_per_call: int = 13
    ema_decay: float = 0.99


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

    @property
    def name(self) -> str:
        """The run's folder: `<objective>-<preset>-seed<k>-<hash8>`."""
        return f"{self.objective.name}-{self.preset}-seed{self.seed}-{config_hash(self)}"


def to_dict(config: Config) -> dict[str, Any]:
    """Plain numbers, strings, lists and dictionaries."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def config_hash(config: Config) -> str:
    """Eight hexadecimal digits of all choices, the same on every machine and for every order of the fields."""
    return hashlib.sha256(json.dumps(dataclasses.asdict(config), sort_keys=True).encode()).hexdigest()[:8]


def load_preset(preset: str, objective: str, seed: int = 0) -> Config:
    """Reads `presets/<preset>.toml`: a table for each part, and `[objectives.<name>]` for an objective's parameters."""
    path = PRESETS / f"{preset}.toml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in PRESETS.glob("*.toml")))
        raise ValueError(f"There is no preset {preset!r}; there are {known}.")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    parameters = tables.pop("objectives", {}).get(objective, {})
    parts = {"data": DataConfig, "augment": AugmentConfig, "model": ModelConfig, "optimiser": OptimiserConfig}
    parts["training"] = TrainingConfig
    if unknown := set(tables) - set(parts):
        raise ValueError(f"{path.name} has unknown tables {sorted(unknown)}; known are {sorted(parts)} and objectives.")
    built = {name: parts[name](**_tuples(table)) for name, table in tables.items()}
    return Config(preset=preset, seed=seed, objective=ObjectiveConfig(objective, parameters), **built)


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
