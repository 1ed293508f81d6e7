"""The claims of the theory as functions, and probes of representations.

- `infonce_hsic`: InfoNCE beside dependence, regulariser and bounds.
- `probes`: k-nearest-neighbour and linear accuracy of frozen features.
"""

from .infonce_hsic import InfoNCEHSIC, infonce_hsic
from .probes import knn_accuracy, linear_accuracy

__all__ = ["InfoNCEHSIC", "infonce_hsic", "knn_accuracy", "linear_accuracy"]
