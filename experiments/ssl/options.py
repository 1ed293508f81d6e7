"""The command line from dataclasses: by tyro, or, on a machine without it, the same options by argparse."""

import argparse
import ast
import dataclasses
import typing
from collections.abc import Sequence
from typing import Annotated, Any

from experiments.ssl.config import Config

try:
    import tyro
except ImportError:
    tyro = None

PROGRAM = "python -m experiments.ssl"
PRESET = "cpu-quick"
POSITIONAL: Any = "positional" if tyro is None else typing.get_args(tyro.conf.Positional[str])[1]
Positional = Annotated[str, POSITIONAL]
Positionals = Annotated[tuple[str, ...], POSITIONAL]


def parse(commands: Sequence[type], args: Sequence[str] | None = None) -> tuple[Any, list[str]]:
    """The command, a dataclass of `commands` in lower case, and the options that it does not know."""
    if tyro is None:
        return _parse_plainly(commands, args)
    named = tuple(Annotated[command, tyro.conf.subcommand(command.__name__.lower())] for command in commands)
    union: Any = typing.Union[named]  # noqa: UP007
    return tyro.cli(union, args=args, prog=PROGRAM, return_unknown_args=True)


def change(config: Config, args: Sequence[str]) -> Config:
    """A configuration with some choices changed by options such as `--training.epochs 5`."""
    if tyro is None:
        return _change_plainly(config, args)
    args = ["--help" if argument == "--all-options" else argument for argument in args]
    return tyro.cli(Config, default=config, args=args, prog=f"{PROGRAM} train")


def _parse_plainly(commands: Sequence[type], args: Sequence[str] | None) -> tuple[Any, list[str]]:
    parser = argparse.ArgumentParser(prog=PROGRAM)
    choices = parser.add_subparsers(required=True, dest="command")
    for owner in commands:
        one = choices.add_parser(owner.__name__.lower(), help=owner.__doc__, allow_abbrev=False)
        for field in dataclasses.fields(owner):
            kind = typing.get_type_hints(owner, include_extras=True)[field.name]
            required = field.default is dataclasses.MISSING
            option = f"--{field.name.replace('_', '-')}"
            if POSITIONAL in getattr(kind, "__metadata__", ()):
                several = typing.get_origin(typing.get_args(kind)[0]) is tuple
                count = "+" if several else None if required else "?"
                one.add_argument(field.name, nargs=count, default=None if required else field.default)
            elif kind is bool:
                one.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default)
            else:
                one.add_argument(option, type=kind, default=field.default)
    found, rest = parser.parse_known_args(args)
    values = vars(found)
    owner = {c.__name__.lower(): c for c in commands}[values.pop("command")]
    return owner(**values), rest


def _change_plainly(config: Config, args: Sequence[str]) -> Config:
    if len(args) % 2 or not all(option.startswith("--") for option in args[::2]):
        raise SystemExit(f"Options to change a preset are pairs such as --training.epochs 5, not {' '.join(args)}.")
    for option, text in zip(args[::2], args[1::2], strict=True):
        path = option.removeprefix("--").replace("-", "_").split(".")
        config = _replaced(config, path, text, option)
    return config


def _replaced(owner: Any, path: Sequence[str], text: str, option: str) -> Any:
    name, *rest = path
    if isinstance(owner, type) or not dataclasses.is_dataclass(owner) or not hasattr(owner, name):
        raise SystemExit(f"There is no choice {option}.")
    old = getattr(owner, name)
    if rest:
        value = _replaced(old, rest, text, option)
    elif isinstance(old, str):
        value = text
    else:
        value = ast.literal_eval(text)
        if isinstance(old, float) and isinstance(value, int):
            value = float(value)
        if type(value) is not type(old):
            raise SystemExit(f"{option} is {text}: it must be like {old!r}.")
    return dataclasses.replace(typing.cast(Any, owner), **{name: value})
