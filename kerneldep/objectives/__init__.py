"""Self-supervised losses under one interface, one file a method.

- `base`: `AbstractObjective` and `Outputs`; views are [M, B, d] everywhere. `names`: `get_objective` by name.
- `ssl_hsic`: `SSLHSIC`. `infonce`: `InfoNCE`.

Beneath each class is a plain function of views, `<method>_terms`.
"""

from .base import AbstractObjective, Outputs
from .infonce import InfoNCE, infonce_terms
from .names import get_objective, objective_names
from .ssl_hsic import SSLHSIC, ssl_hsic_terms

__all__ = [
    "AbstractObjective",
    "InfoNCE",
    "Outputs",
    "SSLHSIC",
    "get_objective",
    "infonce_terms",
    "objective_names",
    "ssl_hsic_terms",
]
