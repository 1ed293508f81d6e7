"""`python -m experiments.ssl`: train runs, suites and sweeps, compare them, and show what there is."""

from dataclasses import dataclass

from experiments.ssl import options
from experiments.ssl.config import Config, load_preset
from experiments.ssl.options import PRESET


@dataclass(frozen=True)
class Train:
    """Trains one run. Further options, such as --training.epochs 5, change the preset; --all-options lists them."""

    objective: str = "ssl_hsic"
    preset: str = PRESET
    seed: int = 0
    force: bool = False  # train even if there is such a run, from the start
    resume: bool = True  # go on from the last checkpoint of an interrupted run
    deterministic: bool = False  # the same bits each time on a GPU too, where it costs speed
    distributed: bool = False  # one of several processes that train together: see devices.py


@dataclass(frozen=True)
class Suite:
    """Trains a list of runs: quick, quick-3-seeds, b3, cpu-15min, cpu-hour. Finished ones are not trained again."""

    name: options.Positional
    force: bool = False  # train all of them again
    record: bool = False  # copy the small files to experiments/records/, after each run


@dataclass(frozen=True)
class Sweep:
    """Trains a sweep, or all, into experiments/records/sweeps/. Finished runs are not trained again."""

    name: options.Positional = "all"
    preset: str = PRESET
    force: bool = False


@dataclass(frozen=True)
class Compare:
    """Writes a table and a figure of finished runs: names, their beginnings, or patterns with * and ?."""

    runs: options.Positionals


@dataclass(frozen=True)
class Export:
    """Writes the features of a finished run's images, train, held-out and test, to features.npz in its folder."""

    run: options.Positional


@dataclass(frozen=True)
class Throughput:
    """Times some epochs of training: images/s, and as a share of the device's rate of matrix products."""

    objective: str = "ssl_hsic"
    preset: str = PRESET
    epochs: int = 5


@dataclass(frozen=True)
class Collapse:
    """Remakes the table of when SSL-HSIC collapses, in experiments/ssl/."""

    force: bool = False


@dataclass(frozen=True)
class Summary:
    """Prints the accuracies of all finished runs."""


COMMANDS = (Train, Suite, Sweep, Compare, Export, Throughput, Collapse, Summary)


def main(args: list[str] | None = None) -> None:
    """Parses the command line and runs it."""
    command, rest = options.parse(COMMANDS, args)
    if isinstance(command, Train):
        preset = load_preset(command.preset, command.objective, command.seed)
        _train(options.change(preset, rest), command)
        return
    if isinstance(command, Throughput):
        _throughput(options.change(load_preset(command.preset, command.objective), rest), command.epochs)
        return
    if rest:
        raise SystemExit(f"Unknown options: {' '.join(rest)}")
    if isinstance(command, Suite):
        _suite(command)
    elif isinstance(command, Sweep):
        _sweep(command)
    elif isinstance(command, Compare):
        from experiments.ssl.compare import compare
        from experiments.ssl.runs import shown

        print(f"Written: {shown(compare(command.runs))}")
    elif isinstance(command, Export):
        from experiments.ssl.export import export
        from experiments.ssl.runs import shown

        print(f"Written: {shown(export(command.run))}")
    elif isinstance(command, Collapse):
        from experiments.ssl import collapse

        collapse.main(command.force)
    else:
        _summary()


def _train(config: Config, train: Train) -> None:
    from experiments.ssl import devices, runs, tables

    devices.prepare(deterministic=train.deterministic, distributed=train.distributed)
    run = runs.find_or_train(config, force=train.force, resume=train.resume)
    if devices.is_first():
        tables.print_table([run])


def _throughput(config: Config, epochs: int) -> None:
    from experiments.ssl.throughput import throughput

    for name, value in throughput(config, epochs).items():
        print(f"{name.replace('_', ' ')}: {value:.4g}")


def _suite(suite: Suite) -> None:
    from experiments.ssl import suites, tables

    if suite.name not in suites.SUITES:
        raise SystemExit(f"There is no suite {suite.name!r}; there are {', '.join(suites.SUITES)}.")
    done = suites.run_suite(suite.name, force=suite.force, record=suite.record)
    tables.print_table(done)


def _sweep(sweep: Sweep) -> None:
    from experiments.ssl import sweep as sweeps

    if sweep.name not in (*sweeps.SWEEPS, "all"):
        raise SystemExit(f"There is no sweep {sweep.name!r}; there are all, {', '.join(sweeps.SWEEPS)}.")
    for name in sweeps.SWEEPS if sweep.name == "all" else (sweep.name,):
        sweeps.run_sweep(name, preset=sweep.preset, force=sweep.force)


def _summary() -> None:
    from experiments.ssl import runs, tables

    by_preset: dict[str, list[runs.Run]] = {}
    for run in runs.all_runs():
        by_preset.setdefault(run.name.split("-", 1)[1].rsplit("-seed", 1)[0], []).append(run)
    if not by_preset:
        print("No finished runs: `python -m experiments.ssl suite quick` makes two.")
    for preset, found in by_preset.items():
        print(f"\n{preset}: {len(found)} runs")
        tables.print_table(found)


if __name__ == "__main__":
    main()
