"""Objectives of `kerneldep.objectives` from what a TOML file or a command line can say."""

from typing import Any

from experiments.ssl.config import ObjectiveConfig

SUPERVISED = ("hsic_bottleneck",)  # the only ones that are shown labels


def make_objective(config: ObjectiveConfig) -> Any:
    """The objective that a configuration names.

    Parameters are passed on as they are, but for a kernel: `kernel` is its name, "inverse_multiquadric", "gaussian",
    "laplace" or "linear", and `scale` its length scale (c, σ, ℓ). For `ssl_hsic`, `scale` alone is that of the inverse
    multiquadric kernel.
    """
    from kerneldep.objectives import get_objective

    parameters = dict(config.parameters)
    kernel = parameters.get("kernel", "inverse_multiquadric" if config.name == "ssl_hsic" else None)
    if isinstance(kernel, str) and ("kernel" in parameters or "scale" in parameters):
        parameters["kernel"] = make_kernel(kernel, parameters.pop("scale", None))
    return get_objective(config.name, **parameters)


def make_kernel(name: str, scale: float | None) -> Any:
    """A kernel by name."""
    from kerneldep import kernels

    if name == "linear":
        if scale is not None:
            raise ValueError(f"The linear kernel has no scale, but {scale} is given.")
        return kernels.Linear()
    scaled = {
        "inverse_multiquadric": kernels.InverseMultiquadric,
        "gaussian": kernels.Gaussian,
        "laplace": kernels.Laplace,
    }
    if name not in scaled:
        raise ValueError(f"There is no kernel {name!r} here; there are {', '.join((*scaled, 'linear'))}.")
    if scale is None:
        raise ValueError(f"The kernel {name!r} needs a scale.")
    return scaled[name](scale)
