"""The HSIC bottleneck, a supervised cousin: dependence on classes against dependence on inputs."""

import math
from typing import Literal, get_args

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Scalar

from ..dependence.canonical import shifted_inverse
from ..dependence.exact import biased_statistic
from ..dependence.tiled import gram_sums, side
from ..kernels import Gaussian, Label
from ..kernels.tiles import center, points, squared_distances
from .base import AbstractStatelessObjective, Outputs, online_views

Measure = Literal["nhsic", "hsic"]


@eqx.filter_jit
def hsic_bottleneck_terms(
    views: Float[Array, "M B d"],
    inputs: Float[Array, "M B p"],
    labels: Int[Array, " B"],
    *,
    measure: Measure = "nhsic",
    sigma: float = 5.0,
    num_classes: int = 10,
    ridge: float = 1e-5,
) -> tuple[Scalar, Scalar]:
    """Dependence of representations on inputs and on classes (see `HSICBottleneck`).

    Args:
        views: representations [M, B, d], used as they are.
        inputs: what they represent, [M, B, p].
        labels: classes of the images.
        measure: "nhsic", time 5n³ and memory n² for n = MB; or "hsic", n²(d + p) and a tile.
        sigma: σ of the Gaussian kernels.
        num_classes: C, the length of one-hot labels.
        ridge: ε of nHSIC.

    Returns:
        The measure of (Z, X) and of (Z, Y), each view a sample.
    """
    z, x = (one.reshape(-1, one.shape[-1]) for one in (views, inputs))
    y = jnp.tile(labels, len(views))
    different = -1 / (sigma**2 * num_classes)  # log k of two classes: one-hot labels are at a squared distance of 2
    if measure == "nhsic":
        apart = y[:, None] != y[None, :]
        grams = (_gram(z, sigma), _gram(x, sigma), math.expm1(different) * apart.astype(z.dtype))
        of_z, of_x, of_y = (_shrinkage(gram, ridge) for gram in grams)
        return (of_z * of_x).sum(), (of_z * of_y).sum()
    sides = (
        side(Gaussian(sigma * z.shape[1] ** 0.5), z),
        side(Gaussian(sigma * x.shape[1] ** 0.5), x),
        side(Label(1.0, math.exp(different)), y.astype(z.dtype)[:, None]),
    )
    sums = gram_sums(sides, ((0, 1), (0, 2)))
    return biased_statistic(sums, 0, (0, 1)), biased_statistic(sums, 1, (0, 2))


def _gram(x: Float[Array, "n d"], sigma: float) -> Float[Array, "n n"]:
    """K − 1. Centring takes the 1 away anyhow; with a wide kernel, taken away first, it costs no digits."""
    prepared = points((x - center(x)) / (sigma * x.shape[1] ** 0.5))
    return jnp.expm1(-squared_distances(prepared, prepared) / 2)


def _shrinkage(gram: Float[Array, "n n"], ridge: float) -> Float[Array, "n n"]:
    """R = K̃(K̃ + nεI)^{−1}."""
    shift = jnp.asarray(len(gram) * ridge, gram.dtype)
    return jnp.eye(len(gram), dtype=gram.dtype) - shifted_inverse(gram, shift)


class HSICBottleneck(AbstractStatelessObjective):
    """L = nHSIC(Z, X) − β·nHSIC(Z, Y), X the inputs and Y their classes (Ma, Lewis and Kleijn 2020).

    Kernels are Gaussians exp(−‖x − x′‖²/(2σ²d)) with d the dimension of each variable, Y as one-hot vectors of length
    C; for these that is a label kernel with l₁ = 1 and l₀ = e^{−1/(σ²C)}. Each of the MB views is a sample of its
    own. The measure has names:

    - "nhsic": tr(R_Z R_X) with R = K̃(K̃ + nεI)^{−1}, K̃ = HKH, as in the authors' training code: `nocco` of
      `kerneldep.dependence`. Cubic in n.
    - "hsic": the V-statistic tr(KHLH)/n², exact and tiled. (With the paper's normaliser (n − 1)² both terms are
      (n/(n − 1))² times that.)

    The authors train each layer of a network by this loss on its own activations, without back-propagation; here Z is
    the online network's output, not normalised. β and σ matter most.

    In the lens of dependence, classes stand where self-supervised losses have the identity of images, and the
    regulariser is dependence on the input instead of on Z itself: what of X is not needed for Y is to go.

    `terms`: "dependence_on_inputs" and "dependence_on_classes", by the measure.

    Args:
        beta: β ≥ 0; 50 in the authors' configuration for MNIST, and so are σ = 5 and C = 10.
        measure: as above.
        sigma: σ > 0, per square root of the dimension.
        num_classes: C.
        ridge: ε > 0 of "nhsic"; 1e-5 in the authors' code.
        num_views: M.

    Raises:
        ValueError: when called, without `outputs.inputs` or `outputs.labels`.
    """

    beta: float = eqx.field(static=True, converter=float, default=50.0)
    measure: Measure = eqx.field(static=True, default="nhsic")
    sigma: float = eqx.field(static=True, converter=float, default=5.0)
    num_classes: int = eqx.field(static=True, default=10)
    ridge: float = eqx.field(static=True, converter=float, default=1e-5)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise ValueError(f"HSICBottleneck.measure is {self.measure!r}: one of {get_args(Measure)} is needed.")
        if not self.beta >= 0:
            raise ValueError(f"HSICBottleneck.beta is {self.beta}: it cannot be negative.")
        for name in ("sigma", "num_classes", "ridge"):
            if not getattr(self, name) > 0:
                raise ValueError(f"HSICBottleneck.{name} is {getattr(self, name)}: it must be positive.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = online_views(outputs)
        if outputs.inputs is None or outputs.labels is None:
            missing = "inputs" if outputs.inputs is None else "labels"
            raise ValueError(f"outputs.{missing} are missing: HSICBottleneck weighs inputs against labels.")
        of_inputs, of_classes = hsic_bottleneck_terms(
            views,
            outputs.inputs.astype(views.dtype),
            outputs.labels,
            measure=self.measure,
            sigma=self.sigma,
            num_classes=self.num_classes,
            ridge=self.ridge,
        )
        terms = {"dependence_on_inputs": of_inputs, "dependence_on_classes": of_classes}
        return of_inputs - self.beta * of_classes, terms, state
