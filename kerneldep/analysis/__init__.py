"""The claims of the theory as functions, and probes of representations.

- `infonce_hsic`: InfoNCE beside dependence, regulariser and bounds. `reachable_infonce`: its ceiling.
- `clustering`: dependence on identity as kernel k-means; `image_distances` between the views of images.
- `spectrum`: eigenvalues, effective rank, alignment and uniformity.
- `collapse`: SSL-HSIC's loss over code-books and near collapse; `collapse_flow`, its gradient flow.
- `byol_neighbourhood`: what BYOL's predictor averages over, and when its loss is dependence; `byol_flow`, how a linear
  encoder trains with and without predictor and stop-gradient.
- `mi_pathology`: populations of one mutual information and many qualities; what else is known of them.
- `lens`: every objective and the diagnostics common to all on the same features; `gradient_cosines` between them.
- `probes`: k-nearest-neighbour and linear accuracy of frozen features.
"""

from .byol_flow import BYOLFlow, byol_flow
from .byol_neighbourhood import BYOLNeighbourhood, byol_neighbourhood, neighbourhood_size, neighbourhood_weights
from .clustering import Clustering, clustering, image_distances
from .collapse import Collapse, CollapseFlow, codebook_loss, codebook_views, collapse, collapse_flow, near_collapse
from .infonce_hsic import InfoNCEHSIC, infonce_hsic
from .lens import Diagnostics, Lens, diagnostics, gradient_cosines, lens
from .mi_pathology import (
    MIPathology,
    best_infonce,
    blobs,
    checkerboard,
    mi_pathology,
    nearest_accuracy,
    same_information,
    scrambled,
    stripes,
)
from .probes import knn_accuracy, linear_accuracy
from .reachable_infonce import reachable_infonce
from .spectrum import Spectrum, covariance_eigenvalues, effective_rank, participation_ratio, spectrum

__all__ = [
    "BYOLFlow",
    "BYOLNeighbourhood",
    "Clustering",
    "Collapse",
    "CollapseFlow",
    "Diagnostics",
    "InfoNCEHSIC",
    "Lens",
    "MIPathology",
    "Spectrum",
    "best_infonce",
    "blobs",
    "byol_flow",
    "byol_neighbourhood",
    "checkerboard",
    "clustering",
    "codebook_loss",
    "codebook_views",
    "collapse",
    "collapse_flow",
    "covariance_eigenvalues",
    "diagnostics",
    "effective_rank",
    "gradient_cosines",
    "image_distances",
    "infonce_hsic",
    "knn_accuracy",
    "lens",
    "linear_accuracy",
    "mi_pathology",
    "near_collapse",
    "nearest_accuracy",
    "neighbourhood_size",
    "neighbourhood_weights",
    "participation_ratio",
    "reachable_infonce",
    "same_information",
    "scrambled",
    "spectrum",
    "stripes",
]
