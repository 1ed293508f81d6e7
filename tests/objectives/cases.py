"""The one list of objectives: an item added here is put through every invariant of `test_objectives`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from kerneldep.features import random_fourier
from kerneldep.information import Bilinear, KernelCritic
from kerneldep.kernels import Gaussian, InverseMultiquadric, Linear
from kerneldep.objectives import (
    BYOL,
    CDSSL,
    DCL,
    JMI,
    SDMI,
    SFRIK,
    SSLHSIC,
    WMSE,
    AbstractObjective,
    AlignmentUniformity,
    BarlowTwins,
    CorInfoMax,
    GaussianMI,
    HSICBottleneck,
    InfoNCE,
    KernelVICReg,
    LeJEPA,
    Outputs,
    SimSiam,
    SpectralContrastive,
    VICReg,
)

from ..oracles import contrastive, correlation, distribution, donsker_varadhan, second_order, ssl
from ..oracles import kernels as oracle

IMAGES, DIM, INPUT_DIM, CLASSES = 8, 4, 3, 3


class Arrays(NamedTuple):
    """What a network might put out, in float64 and of no particular norm: a reference takes what it needs of it."""

    projections: np.ndarray
    predictions: np.ndarray
    targets: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray


Reference = Callable[[Arrays, Key[Array, ""]], float]


@dataclass(frozen=True)
class Case:
    """One objective.

    Attributes:
        name: for test ids.
        make: the objective, made in the test's lane.
        reference: its loss from the initial state, by plain NumPy loops of the oracles. The key is for methods that
            draw features or slices: the reference makes the same draw, and all else by itself.
        supervised: whether it needs `inputs` and `labels`.
        fixed: views through which the loss has no gradient in its first step, though it depends on them: what
            alternates between views.
    """

    name: str
    make: Callable[[], AbstractObjective]
    reference: Reference
    supervised: bool = False
    fixed: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.name


def arrays(objective: AbstractObjective, seed: int = 0, images: int = IMAGES, dim: int = DIM) -> Arrays:
    """Views scattered about one centre an image."""
    rng = np.random.default_rng(seed)
    shape = (objective.num_views, images, dim)
    centers = rng.normal(size=(1, images, dim))
    projections, predictions, targets = (centers + 0.5 * rng.normal(size=shape) for _ in range(3))
    inputs = rng.normal(size=(objective.num_views, images, INPUT_DIM))
    return Arrays(projections, predictions, targets, inputs, np.arange(images) % CLASSES)


def outputs_of(case: Case, objective: AbstractObjective, found: Arrays, dtype: Any = None) -> Outputs:
    """Outputs with everything the objective asks for, and nothing else."""
    views = [jnp.asarray(one, dtype) for one in found[:4]]
    return Outputs(
        views[0],
        views[1] if objective.predictor else None,
        views[2] if objective.target != "none" else None,
        views[3] if case.supervised else None,
        jnp.asarray(found.labels, jnp.int32) if case.supervised else None,
    )


def _unit(views: np.ndarray) -> np.ndarray:
    return views / np.linalg.norm(views, axis=-1, keepdims=True)


def _imq(x: np.ndarray, y: np.ndarray) -> float:
    return oracle.inverse_multiquadric(x, y, 0.5)


def _ssl_hsic(dep: Callable[[np.ndarray], float], kernel: Callable = _imq, with_target: bool = False) -> Reference:
    def reference(found: Arrays, key: Key[Array, ""]) -> float:
        views = np.concatenate([found.predictions, found.targets]) if with_target else found.projections
        gram = ssl.view_gram(_unit(views), kernel)
        return ssl.ssl_hsic_loss(dep(gram), ssl.self_hsic(gram), 3.0)

    return reference


def _ssl_hsic_features(found: Arrays, key: Key[Array, ""]) -> float:
    m, b, d = found.projections.shape
    z = _unit(found.projections)
    first, second = (
        np.asarray(random_fourier(InverseMultiquadric(0.5), d, 32, key=half, quasi=True)(jnp.asarray(z.reshape(-1, d))))
        for half in jax.random.split(key)
    )
    both = np.concatenate([first, second], axis=1) / math.sqrt(2)
    dep = ssl.dep_paper((both @ both.T).reshape(m, b, m, b))
    cross = (first - first.mean(0)).T @ (second - second.mean(0)) / len(first)
    return ssl.ssl_hsic_loss(dep, float((cross**2).sum()), 3.0)


def _infonce(loss: Callable[[np.ndarray], float]) -> Reference:
    return lambda found, key: loss(ssl.view_gram(_unit(found.projections), oracle.cosine))


def _population(gram: np.ndarray) -> float:
    # The oracle's positives include p = q.
    include, exclude = (ssl.positive_mean(gram, include_self=flag) / 0.2 for flag in (True, False))
    return ssl.infonce_population(gram, 0.2) + include - exclude


CASES = (
    Case("ssl_hsic", SSLHSIC, _ssl_hsic(lambda gram: ssl.dep_unbiased(gram, math.inf))),
    Case("ssl_hsic-features", lambda: SSLHSIC(estimate="paper", num_features=64), _ssl_hsic_features),
    Case(
        "ssl_hsic-population",
        lambda: SSLHSIC(estimate="population", kernel=Gaussian(1.0), num_views=3),
        _ssl_hsic(ssl.dep_population, lambda x, y: oracle.gaussian(x, y, 1.0)),
    ),
    Case(
        "ssl_hsic-target-learned",
        lambda: SSLHSIC(target="ema", learn_scale=True, num_images=50),
        _ssl_hsic(lambda gram: ssl.dep_unbiased(gram, 50), with_target=True),
    ),
    Case("infonce-nt_xent", InfoNCE, _infonce(lambda gram: ssl.nt_xent(gram, 0.2))),
    Case(
        "infonce-in_batch",
        lambda: InfoNCE(denominator="in_batch"),
        _infonce(lambda gram: ssl.infonce_in_batch(gram, 0.2)),
    ),
    Case("infonce-population", lambda: InfoNCE(denominator="population", num_views=3), _infonce(_population)),
    Case("dcl", lambda: DCL(num_views=3), contrastive.dcl_reference(0.1)),
    Case("spectral_contrastive", SpectralContrastive, contrastive.spectral_reference(1.0)),
    Case(
        "spectral_contrastive-population",
        lambda: SpectralContrastive("population", None, num_views=3),
        contrastive.spectral_population_reference,
    ),
    Case("alignment_uniformity", AlignmentUniformity, contrastive.alignment_uniformity_reference(2.0, 2.0, 1.0)),
    Case(
        "alignment_uniformity-three",
        lambda: AlignmentUniformity(1.0, 3.0, 0.5, num_views=3),
        contrastive.alignment_uniformity_reference(1.0, 3.0, 0.5),
    ),
    Case("byol", lambda: BYOL(num_views=3), contrastive.byol_reference),
    Case("simsiam", SimSiam, contrastive.simsiam_reference),
    Case(
        "hsic_bottleneck",
        HSICBottleneck,
        contrastive.hsic_bottleneck_reference(50.0, 5.0, 10, ridge=1e-5),
        supervised=True,
    ),
    Case(
        "hsic_bottleneck-plain",
        lambda: HSICBottleneck(2.0, "hsic", 1.0, 3, num_views=3),
        contrastive.hsic_bottleneck_reference(2.0, 1.0, 3, ridge=None),
        supervised=True,
    ),
    Case("barlow_twins", BarlowTwins, correlation.barlow_twins_reference(5e-3)),
    Case(
        "barlow_twins-three",
        lambda: BarlowTwins(1.0, epsilon=0.0, num_views=3),
        correlation.barlow_twins_reference(1.0, 0.0),
    ),
    Case("vicreg", VICReg, correlation.vicreg_reference()),
    Case(
        "vicreg-three",
        lambda: VICReg(2.0, 3.0, 4.0, convention="paper", deviation=1.5, num_views=3),
        correlation.vicreg_reference((2.0, 3.0, 4.0), "paper", 1.5),
    ),
    Case("w_mse", WMSE, correlation.w_mse_reference()),
    Case(
        "w_mse-three",
        lambda: WMSE(normalised=False, whitening="together", epsilon=1e-3, num_views=3),
        correlation.w_mse_reference(normalised=False, together=True, epsilon=1e-3),
    ),
    Case(
        "cdssl",  # one, since it compiles long; weights at which no term hides another
        lambda: CDSSL(
            *(1.0, 2.0, 0.3, 0.4, 50.0, 60.0, 7.0, 8.0),
            self_dependence="penalise",
            off_diagonal=0.5,
            bandwidth=0.8,
            normaliser="v_statistic",
        ),
        correlation.cdssl_reference(
            (1.0, 2.0, 0.3, 0.4, 50.0, 60.0, 7.0, 8.0), weight=0.5, bandwidth=0.8, sign=1, trace=False
        ),
    ),
    Case(
        "lejepa",
        lambda: LeJEPA(num_slices=5, num_knots=4),
        distribution.lejepa_reference(0.02, num_slices=5, num_knots=4, limit=3.0),
    ),
    Case(
        "lejepa-three",
        lambda: LeJEPA(0.3, num_slices=3, num_knots=6, limit=5.0, num_views=3),
        distribution.lejepa_reference(0.3, num_slices=3, num_knots=6, limit=5.0),
    ),
    Case("kernel_vicreg", KernelVICReg, distribution.kernel_vicreg_reference()),
    Case(
        "kernel_vicreg-three",
        lambda: KernelVICReg(Linear(), deviation=0.5, normalised=False, num_views=3),
        distribution.kernel_vicreg_reference(oracle.linear, deviation=0.5, normalised=False),
    ),
    Case("sfrik", SFRIK, distribution.sfrik_reference(4000 / 8192, (1.0, 40.0, 40.0))),
    Case(
        "sfrik-three",
        lambda: SFRIK(2.0, (0.0, 3.0, 0.0, 1.0, 2.0), num_views=3),
        distribution.sfrik_reference(2.0, (0.0, 3.0, 0.0, 1.0, 2.0)),
    ),
    Case("corinfomax", CorInfoMax, second_order.corinfomax_reference(250.0)),
    Case(
        "corinfomax-three",
        lambda: CorInfoMax(5.0, forgetting=0.3, num_views=3),
        second_order.corinfomax_reference(5.0, forgetting=0.3),
    ),
    Case("gaussian_mi", GaussianMI, second_order.gaussian_mi_reference(1e-4)),
    Case("gaussian_mi-three", lambda: GaussianMI(0.1, num_views=3), second_order.gaussian_mi_reference(0.1)),
    Case(
        "sdmi",
        SDMI,
        donsker_varadhan.donsker_varadhan_reference(lambda: donsker_varadhan.cosine(0.2)),
        fixed=(1,),
    ),
    Case(
        "sdmi-critic",
        lambda: SDMI(critic=KernelCritic(temperature=0.5)),
        donsker_varadhan.donsker_varadhan_reference(lambda: donsker_varadhan.cosine(0.5)),
        fixed=(1,),
    ),
    Case(
        "jmi",
        lambda: JMI(0.3, num_views=3),
        donsker_varadhan.donsker_varadhan_reference(lambda: donsker_varadhan.cosine(0.3)),
    ),
    Case(
        "jmi-critic",
        lambda: JMI(critic=Bilinear(DIM, DIM, key=jax.random.key(5))),
        donsker_varadhan.donsker_varadhan_reference(
            lambda: donsker_varadhan.bilinear(np.asarray(Bilinear(DIM, DIM, key=jax.random.key(5)).weight))
        ),
    ),
)
