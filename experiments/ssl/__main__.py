"""`python -m experiments.ssl`: train a run, a suite of runs, or show what there is."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from experiments.ssl.config import OBJECTIVES, Config, load_preset

SUITES = {"quick": (0,), "quick-3-seeds": (0, 1, 2)}
PRESET = "cpu-quick"


@dataclass(frozen=True)
class Train:
    """Trains one run. Further options, such as --training.epochs 5, change the preset; --all-options lists them."""

    objective: str = "ssl_hsic"
    preset: str = PRESET
    seed: int = 0
    force: bool = False  # train even if there is such a run


@dataclass(frozen=True)
class Suite:
    """Trains SSL-HSIC and InfoNCE with the quick preset: one seed, or three."""

    name: tyro.conf.Positional[Literal["quick", "quick-3-seeds"]]
    force: bool = False  # train even if there are such runs
    record: bool = False  # copy the small files to experiments/records/


@dataclass(frozen=True)
class Collapse:
    """Remakes the table of when SSL-HSIC collapses, in experiments/ssl/."""

    force: bool = False


@dataclass(frozen=True)
class Summary:
    """Prints the accuracies of all finished runs."""


Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Suite, tyro.conf.subcommand("suite")]
    | Annotated[Collapse, tyro.conf.subcommand("collapse")]
    | Annotated[Summary, tyro.conf.subcommand("summary")]
)


def main(args: list[str] | None = None) -> None:
    """Parses the command line and runs it."""
    command, rest = tyro.cli(Command, args=args, prog="python -m experiments.ssl", return_unknown_args=True)  # pyright: ignore[reportCallIssue, reportArgumentType]
    if isinstance(command, Train):
        rest = ["--help" if argument == "--all-options" else argument for argument in rest]
        preset = load_preset(command.preset, command.objective, command.seed)
        config = tyro.cli(Config, default=preset, args=rest, prog="python -m experiments.ssl train")
        _train(config, command.force)
        return
    if rest:
        raise SystemExit(f"Unknown options: {' '.join(rest)}")
    if isinstance(command, Suite):
        _suite(command)
    elif isinstance(command, Collapse):
        from experiments.ssl import collapse

        collapse.main(command.force)
    else:
        _summary()


def _train(config: Config, force: bool) -> None:
    from experiments.ssl import records, runs

    records.print_table([runs.find_or_train(config, force=force)])


def _suite(suite: Suite) -> None:
    from experiments.ssl import records, runs

    configs = [load_preset(PRESET, objective, seed) for seed in SUITES[suite.name] for objective in OBJECTIVES]
    done = [runs.find_or_train(config, force=suite.force) for config in configs]
    records.print_table(done)
    if suite.record:
        print(f"Recorded in {records.record(suite.name, done).relative_to(runs.ROOT).as_posix()}")


def _summary() -> None:
    from experiments.ssl import records, runs

    by_preset: dict[str, list[runs.Run]] = {}
    for run in runs.all_runs():
        by_preset.setdefault(run.name.split("-", 1)[1].rsplit("-seed", 1)[0], []).append(run)
    if not by_preset:
        print("No finished runs: `python -m experiments.ssl suite quick` makes two.")
    for preset, found in by_preset.items():
        print(f"\n{preset}: {len(found)} runs")
        records.print_table(found)


if __name__ == "__main__":
    main()
