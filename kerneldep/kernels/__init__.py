"""What similarity is: kernels, how they combine, and rules for their bandwidth.

- `base`: `AbstractKernel`, the interface; a kernel of your own supplies only `__call__`.
- `radial`: `Gaussian`, `Laplace`, `Matern`, `InverseMultiquadric`, `RationalQuadratic`.
- `dot_product`: `Linear`, `Polynomial`, `Cosine`. `label`: `Label`. `distance`: `Distance`.
- `composed`: `Sum`, `Product`, `Scaled` (by operators) and `Deep`.
- `bandwidth`: `median_bandwidth`.
- `tiles`: how distances of a tile of points keep their digits.
"""

from .bandwidth import median_bandwidth
from .base import AbstractKernel
from .composed import Deep, Product, Scaled, Sum
from .distance import Distance
from .dot_product import Cosine, Linear, Polynomial
from .label import Label
from .radial import AbstractRadialKernel, Gaussian, InverseMultiquadric, Laplace, Matern, RationalQuadratic

__all__ = [
    "AbstractKernel",
    "AbstractRadialKernel",
    "Cosine",
    "Deep",
    "Distance",
    "Gaussian",
    "InverseMultiquadric",
    "Label",
    "Laplace",
    "Linear",
    "Matern",
    "Polynomial",
    "Product",
    "RationalQuadratic",
    "Scaled",
    "Sum",
    "median_bandwidth",
]
