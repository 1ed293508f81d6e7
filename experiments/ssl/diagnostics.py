"""What every run's representation is like along training, on fixed views of held-out images.

The quantities are those by which the objectives are compared, the same for all of them, whatever they train on.
"""

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Array, Float

from experiments.ssl.config import Config
from experiments.ssl.features import Split, draw_views, frozen, represent_views
from experiments.ssl.models import Network
from kerneldep.analysis import diagnostics, infonce_hsic, knn_accuracy
from kerneldep.analysis.probes import fit_linear_probe

NUM_VIEWS, NUM_IMAGES = 2, 256
TEMPERATURES = (0.2, 0.5)  # the usual one on CIFAR, and one at which the expansion of InfoNCE's gap is fair
KNOWN, NEW = 2_000, 1_000  # training and held-out images of the probes


class HasNetwork(Protocol):
    """The part of a training state that is looked at."""

    @property
    def network(self) -> Network: ...


def representation_diagnostics(views: Float[Array, "M B d"]) -> dict[str, float]:
    """Dependence, regularisers and losses of unit-norm representations, by name: `kerneldep.analysis.diagnostics`.

    With the cosine kernel: "dep" = E_pos k − E k, "hsic_zz" = HSIC(Z, Z), "expected_variance" = E Var k,
    "mean_norm_squared" = ‖E Z‖² and "byol_distance" = 2(1 − E_pos k), so dep = 1 − byol_distance/2 − ‖E Z‖². E_pos is
    over different views; all else over the views as they are, each image with itself included. Of the same
    representations: "uniformity" (and alignment with exponent 2 is byol_distance), "effective_rank",
    "participation_ratio". With the kernel cos/τ, for each τ of `TEMPERATURES`: "infonce_τ" with the population
    denominator, "gap_τ" = InfoNCE + dep and "half_variance_τ" = ½E Var, its expansion.
    """
    one = diagnostics(views)
    found = {
        "dep": one.dependence,
        "hsic_zz": one.self_dependence,
        "expected_variance": one.mean_variance,
        "mean_norm_squared": one.squared_mean,
        "byol_distance": one.alignment,
        "uniformity": one.uniformity,
        "effective_rank": one.effective_rank,
        "participation_ratio": one.participation_ratio,
    }
    for temperature in TEMPERATURES:
        infonce = infonce_hsic(views, temperature, estimate="sample")
        found |= {
            f"infonce_{temperature:g}": infonce.infonce,
            f"gap_{temperature:g}": infonce.gap,
            f"half_variance_{temperature:g}": infonce.half_variance,
        }
    return {name: float(value) for name, value in found.items()}


def probe_diagnostics(network: Network, known: Split, new: Split, config: Config) -> dict[str, float]:
    """Accuracies of few held-out images by a k-NN vote and a logistic regression that know few training images."""
    encoder = frozen(network.encoder, known, config)
    features, unseen = encoder(known.images), encoder(new.images)
    probe = fit_linear_probe(features, known.labels, penalties=(1e-2,), max_iterations=50)
    return {
        "knn": float(knn_accuracy(features, known.labels, unseen, new.labels)),
        "linear": float(probe.accuracy(unseen, new.labels)),
    }


def observer(images: dict[str, Split], config: Config) -> Callable[[HasNetwork], dict[str, float]]:
    """What training calls every `evaluation.every` steps, for the numbers above; it looks at the network alone.

    Raises:
        ValueError: If `images` hold no "heldout".
    """
    if "heldout" not in images:
        raise ValueError('Diagnostics need held-out images: "heldout" is not in data.probe.')
    heldout = images["heldout"]
    known, new = images["train"].first(KNOWN), heldout.first(NEW)
    # The same views for every seed and objective.
    views = draw_views(heldout.images[:NUM_IMAGES], NUM_VIEWS, config.augment, 0)

    def observe(state: HasNetwork) -> dict[str, float]:
        projections = represent_views(state.network, views)[1]
        return representation_diagnostics(projections) | probe_diagnostics(state.network, known, new, config)

    return observe
