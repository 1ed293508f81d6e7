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
PARAMETER = "--objective.parameters."
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
    """A configuration with some choices changed by options such as `--training.epochs 5`.

    `--objective.parameters.<name> <value>` also gives the objective what the preset leaves to its default.
    """
    parameters, args = _parameters(config.objective.parameters, args)
    config = dataclasses.replace(config, objective=dataclasses.replace(config.objective, parameters=parameters))
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


def _parameters(parameters: dict[str, Any], args: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The objective's parameters with those among the options, and the options that are left."""
    found, rest, texts = dict(parameters), [], iter([part for one in args for part in _split(one)])
    for option in texts:
        if option.startswith(PARAMETER):
            name = option.removeprefix(PARAMETER).replace("-", "_")
            if (text := next(texts, None)) is None:
                raise SystemExit(f"{option} needs a value.")
            found[name] = _like(found[name], text, option) if name in found else _literal(text)
        else:
            rest.append(option)
    return found, rest


def _split(argument: str) -> list[str]:
    return argument.split("=", 1) if argument.startswith(PARAMETER) else [argument]


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
    value = _replaced(old, rest, text, option) if rest else _like(old, text, option)
    try:
        return dataclasses.replace(typing.cast(Any, owner), **{name: value})
    except ValueError as error:
        raise SystemExit(f"{option}: {error}") from error


def _like(old: Any, text: str, option: str) -> Any:
    """The value that the text means where `old` was: of its type, or, of tuples, several separated by commas."""
    if isinstance(old, str):
        return text
    if isinstance(old, tuple) and not text.startswith("("):
        words = [word.strip() for word in text.split(",") if word.strip()]
        return tuple(_like(old[0], word, option) if old else _literal(word) for word in words)
    value = _literal(text)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(old):
        raise SystemExit(f"{option} is {text}: it must be like {old!r}.")
    return value


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
