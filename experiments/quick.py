"""Compiler settings for programs that run once on little data: compiling is then most of their time."""

import os
from importlib.metadata import version


def quick_compilation() -> None:
    """Lets JAX optimise less, here and in processes started from here; call it before JAX starts a backend."""
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    unfused_emitters()


def unfused_emitters() -> None:
    """Turns off what takes a third of compilation, unless `XLA_FLAGS` are set (one not known aborts)."""
    if version("jax").startswith("0.10."):
        flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        os.environ.setdefault("XLA_FLAGS", flags)
