"""Self-supervised losses under one interface, one file a method.

- `base`: `AbstractObjective` and `Outputs`; views are [M, B, d] everywhere.
- `ssl_hsic`: `SSLHSIC`. `infonce`: `InfoNCE`.
"""

from .base import AbstractObjective, Outputs
from .infonce import InfoNCE
from .ssl_hsic import SSLHSIC

__all__ = ["AbstractObjective", "InfoNCE", "Outputs", "SSLHSIC"]
