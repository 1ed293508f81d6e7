"""Objectives against published PyTorch code: loss and gradient in float64, every difference of convention a factor.

Skipped where torch, lightly or solo-learn is missing, as in this project's own environment. In one apart:

    python -m venv peers
    peers/bin/pip install . pytest beartype tqdm pillow torch torchvision
    peers/bin/pip install --no-deps lightly==1.6.0 solo-learn==1.0.2
    JAX_PLATFORMS=cpu peers/bin/python -m pytest tests/objectives/test_peers.py

Run with torch 2.13.0 on a CPU, lightly 1.6.0 and solo-learn 1.0.2: relative to the loss, and to the gradient's largest
entry, differences were at most 3e-15, with whitening 1e-14, and 9e-9 for LeJEPA, where theirs is partly in float32. One
differs in more than a convention: solo-learn's W-MSE stops half of its gradient.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.objectives import (
    BYOL,
    DCL,
    WMSE,
    AbstractObjective,
    AlignmentUniformity,
    BarlowTwins,
    InfoNCE,
    LeJEPA,
    Outputs,
    SimSiam,
    VICReg,
)
from kerneldep.objectives.lejepa import random_slices

from .cases import Arrays, arrays

torch = pytest.importorskip("torch", reason="needs torch, lightly and solo-learn in an environment apart")

IMAGES, DIM, SLICES = 16, 8, 5


@dataclass(frozen=True)
class Peer:
    """One published loss.

    Attributes:
        name: for test ids: package and loss.
        ours: the objective with its settings.
        theirs: their loss of `Arrays` of tensors.
        factor: by which theirs is ours, loss and gradient.
        offset: what theirs has beyond that.
        tolerance: relative to the loss, and to the largest entry of its gradient.
    """

    name: str
    ours: Callable[[], AbstractObjective]
    theirs: Callable[[Arrays], Any]
    factor: float = 1.0
    offset: float = 0.0
    tolerance: float = 1e-12

    def __str__(self) -> str:
        return self.name


def lightly(name: str) -> Any:
    """A module of lightly.loss."""
    return pytest.importorskip(f"lightly.loss.{name}", reason="needs lightly, and torchvision, which it imports")


def solo(name: str) -> Any:
    """A loss of solo-learn from its file alone: importing the package needs all that it trains with."""
    package = importlib.util.find_spec("solo")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs solo-learn, which may be installed without its dependencies")
    spec = importlib.util.spec_from_file_location(
        f"solo_{name}", Path(package.submodule_search_locations[0], "losses", f"{name}.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, f"{name}_loss_func")


def fresh_key():
    """Every use needs its own copy: key reuse is an error in the tests."""
    return jax.random.key(3)


def both_ways(loss: Callable[[Any, Any], Any], first: Any, second: Any) -> Any:
    """The sum over the two directions, from a view of `first` to the other view of `second`."""
    return loss(first[0], second[1]) + loss(first[1], second[0])


def lightly_w_mse(at: Arrays) -> Any:
    """Views one after the other; what goes together is all the batch, so that their permutation changes nothing."""
    views = len(at.projections)
    loss = lightly("wmse_loss").WMSELoss(embedding_dim=DIM, w_size=IMAGES, num_samples=views)
    return loss(at.projections.reshape(-1, DIM))


def lightly_lejepa(at: Arrays) -> Any:
    """Its two terms with our slices; the centre is that of all views, where `LeJEPALoss` has that of global crops."""
    module, views = lightly("lejepa_loss"), at.projections
    sigreg = module.SIGReg(num_vectors=SLICES)
    slices = torch.from_numpy(np.array(random_slices(fresh_key(), DIM, SLICES)))
    sigreg._generate_unit_vectors = lambda *_: slices
    return 0.05 * sigreg(views) + 0.95 * module.lejepa_invariance_loss(all_proj=views, global_proj=views)


PEERS = (
    Peer("lightly-nt_xent", InfoNCE, lambda at: lightly("ntx_ent_loss").NTXentLoss(0.2)(*at.projections)),
    Peer("solo-simclr", InfoNCE, lambda at: solo("simclr")(*at.projections, temperature=0.2)),
    # NNCLR with the other view in the place of its nearest neighbour; one direction each.
    Peer(
        "solo-nnclr",
        lambda: InfoNCE(denominator="in_batch"),
        lambda at: both_ways(lambda one, other: solo("nnclr")(one, other, 0.2), at.projections, at.projections),
        factor=2,
    ),
    Peer("lightly-dcl", DCL, lambda at: lightly("dcl_loss").DCLLoss()(*at.projections)),
    Peer(
        "lightly-hypersphere",  # their t is 1
        AlignmentUniformity,
        lambda at: lightly("hypersphere_loss").HypersphereLoss(t=2)(*at.projections),
    ),
    # Of one direction; the other and the stop-gradient are the caller's.
    Peer(
        "lightly-simsiam",
        SimSiam,
        lambda at: both_ways(
            lightly("negative_cosine_similarity").NegativeCosineSimilarity(), at.predictions, at.targets.detach()
        ),
        factor=2,
    ),
    Peer(
        "lightly-byol",  # −cos for 2 − 2cos
        BYOL,
        lambda at: both_ways(
            lightly("negative_cosine_similarity").NegativeCosineSimilarity(), at.predictions, at.targets.detach()
        ),
        offset=-2,
    ),
    # Of one direction; the caller adds both up for BYOL and takes their mean for SimSiam.
    Peer("solo-byol", BYOL, lambda at: both_ways(solo("byol"), at.predictions, at.targets), factor=2),
    Peer("solo-simsiam", SimSiam, lambda at: both_ways(solo("simsiam"), at.predictions, at.targets), factor=2),
    Peer(
        "lightly-barlow_twins", BarlowTwins, lambda at: lightly("barlow_twins_loss").BarlowTwinsLoss()(*at.projections)
    ),
    # Scaled as a whole; by 0.024 in the authors' best run.
    Peer("solo-barlow", BarlowTwins, lambda at: solo("barlow")(*at.projections), factor=0.025),
    Peer("lightly-vicreg", VICReg, lambda at: lightly("vicreg_loss").VICRegLoss()(*at.projections)),
    # Weight 25 of the *sum* over views of the variance term, as in the paper, but the squared distance averaged over d,
    # as in the authors' code, which halves the former: neither of the two conventions.
    Peer("solo-vicreg", lambda: VICReg(variance=50.0), lambda at: solo("vicreg")(*at.projections)),
    # Theirs has no jitter.
    Peer("lightly-w_mse", lambda: WMSE(epsilon=1e-16), lightly_w_mse),
    Peer("lightly-w_mse-three", lambda: WMSE(epsilon=1e-16, num_views=3), lightly_w_mse),
    # Their knots' weights and the Gaussian at them are rounded to float32.
    Peer("lightly-lejepa", lambda: LeJEPA(0.05, SLICES, num_views=3), lightly_lejepa, tolerance=1e-7),
)


@pytest.fixture(autouse=True)
def double(x64):
    """Both in float64: solo-learn makes modules in torch's default float."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def our_loss_and_gradient(objective: AbstractObjective, found: Arrays) -> tuple[np.ndarray, Outputs]:
    """Of projections, predictions and targets, used or not."""
    outputs = Outputs(jnp.asarray(found.projections), *map(jnp.asarray, (found.predictions, found.targets)))

    @eqx.filter_value_and_grad
    def loss(outputs):
        used = Outputs(
            outputs.projections,
            outputs.predictions if objective.predictor else None,
            outputs.targets if objective.target != "none" else None,
        )
        return objective(used, objective.init(DIM), key=fresh_key())[0]

    value, slope = eqx.filter_jit(loss)(outputs)
    return np.asarray(value), slope


def their_loss_and_gradient(loss: Callable[[Arrays], Any], found: Arrays) -> tuple[np.ndarray, Outputs]:
    """Likewise."""
    leaves = [torch.tensor(one, requires_grad=True) for one in found[:3]]
    value = loss(found._replace(projections=leaves[0], predictions=leaves[1], targets=leaves[2]))
    slopes = torch.autograd.grad(value, leaves, materialize_grads=True)
    return value.detach().numpy(), Outputs(*(jnp.asarray(one.numpy()) for one in slopes))


def assert_close(ours, theirs, tolerance):
    """Entries within `tolerance` of the largest."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * float(np.abs(theirs).max()))


@pytest.mark.parametrize("peer", PEERS, ids=str)
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_loss_and_gradient_are_the_published_ones(peer, scale):
    objective = peer.ours()
    found = arrays(objective, images=IMAGES, dim=DIM)
    found = found._replace(projections=scale * found.projections)
    ours, our_slope = our_loss_and_gradient(objective, found)
    theirs, their_slope = their_loss_and_gradient(peer.theirs, found)
    assert theirs.dtype == np.float64
    assert_close(peer.factor * ours + peer.offset, theirs, peer.tolerance)
    assert any(leaf.any() for leaf in jax.tree.leaves(our_slope))
    jax.tree.map(lambda one, other: assert_close(peer.factor * one, other, peer.tolerance), our_slope, their_slope)


@pytest.mark.parametrize("simplified", [False, True])
def test_the_default_of_solo_learn_s_w_mse_drops_the_second_view_s_gradient(simplified):
    """Its `simplified` form, "same result", detaches the second view, as BYOL's does; the method's authors do not."""

    def theirs(at: Arrays) -> Any:
        whiten = lightly("wmse_loss").Whitening2d(DIM)  # solo-learn's own warns: torch deprecates its functions
        return solo("wmse")(*map(whiten, at.projections), simplified=simplified)

    objective = WMSE(epsilon=1e-16)
    found = arrays(objective, images=IMAGES, dim=DIM)
    ours, our_slope = our_loss_and_gradient(objective, found)
    value, slope = their_loss_and_gradient(theirs, found)
    assert_close(ours, value, 1e-12)
    expected = our_slope.projections.at[1].multiply(0 if simplified else 1)
    assert_close(expected, slope.projections, 1e-12)
