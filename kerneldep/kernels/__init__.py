"""What similarity is: kernels, how they combine, and rules for their bandwidth.

- `base`: `AbstractKernel`, the interface; a kernel of your own supplies only `__call__`.
- `radial`: `Gaussian`, `Laplace`, `Matern`, `InverseMultiquadric`, `RationalQuadratic`.
- `dot_product`: `Linear`, `Polynomial`, `Cosine`. `label`: `Label`. `distance`: `Distance`.
- `composed`: `Sum`, `Product`, `Scaled` (by operators) and `Deep`.
- `automatic_relevance`: `AutomaticRelevance`, a length scale for every coordinate. `per_coordinate`: `PerCoordinate`,
  the product over coordinates. `precomputed`: `Precomputed`, a Gram matrix, also of strings or graphs.
- `bandwidth`: `median_bandwidth`, `bandwidth_grid`.
- `centering`: `center_gram`.
- `tiles`: how distances of a tile of points keep their digits.
"""

from .automatic_relevance import AutomaticRelevance
from .bandwidth import bandwidth_grid, median_bandwidth
from .base import AbstractKernel
from .centering import center_gram
from .composed import Deep, Product, Scaled, Sum
from .distance import Distance
from .dot_product import Cosine, Linear, Polynomial
from .label import Label
from .per_coordinate import PerCoordinate
from .precomputed import Precomputed
from .radial import AbstractRadialKernel, Gaussian, InverseMultiquadric, Laplace, Matern, RationalQuadratic

__all__ = [
    "AbstractKernel",
    "AbstractRadialKernel",
    "AutomaticRelevance",
    "Cosine",
    "Deep",
    "Distance",
    "Gaussian",
    "InverseMultiquadric",
    "Label",
    "Laplace",
    "Linear",
    "Matern",
    "PerCoordinate",
    "Polynomial",
    "Precomputed",
    "Product",
    "RationalQuadratic",
    "Scaled",
    "Sum",
    "bandwidth_grid",
    "center_gram",
    "median_bandwidth",
]
