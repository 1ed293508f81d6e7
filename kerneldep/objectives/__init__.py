"""Self-supervised losses under one interface, one file a method.

- `base`: `AbstractObjective`, `AbstractStatelessObjective` and `Outputs`; views are [M, B, d] everywhere.
- `names`: `get_objective` by name.
- `ssl_hsic`: `SSLHSIC`. `infonce`: `InfoNCE`.
- Other contrasts: `dcl`: `DCL`. `spectral_contrastive`: `SpectralContrastive`. `alignment_uniformity`:
  `AlignmentUniformity`.
- Prediction of a target: `byol`: `BYOL`. `simsiam`: `SimSiam`, whose terms are BYOL's.
- `hsic_bottleneck`: `HSICBottleneck`, a supervised cousin. `positives`: means over positive pairs.
- Correlations of features: `barlow_twins`: `BarlowTwins`. `vicreg`: `VICReg`. `w_mse`: `WMSE`. `cdssl`: `CDSSL`, with
  dependence beside them. `correlation`: sums over a covariance matrix.
- Towards a target law: `lejepa`: `LeJEPA`. `sfrik`: `SFRIK`. `kernel_vicreg`: `KernelVICReg`.
- Information: `corinfomax`: `CorInfoMax`. `gaussian_mi`: `GaussianMI`. `jmi`: `JMI` and `sdmi`: `SDMI`, joint and
  alternating, on `donsker_varadhan`. `log_determinant` of covariances.

Beneath each class is a plain function of views, `<method>_terms`.
"""

from .alignment_uniformity import AlignmentUniformity, alignment_uniformity_terms
from .barlow_twins import BarlowTwins, barlow_twins_terms
from .base import AbstractObjective, AbstractStatelessObjective, Outputs
from .byol import BYOL, byol_terms
from .cdssl import CDSSL, CDSSLTerms, cdssl_terms
from .corinfomax import CorInfoMax, corinfomax_terms
from .dcl import DCL, dcl_terms
from .gaussian_mi import GaussianMI, gaussian_mi_terms
from .hsic_bottleneck import HSICBottleneck, hsic_bottleneck_terms
from .infonce import InfoNCE, infonce_terms
from .jmi import JMI, jmi_terms
from .kernel_vicreg import KernelVICReg, kernel_vicreg_terms
from .lejepa import LeJEPA, lejepa_terms, sigreg
from .names import get_objective, objective_names
from .sdmi import SDMI, sdmi_terms
from .sfrik import SFRIK, sfrik_terms
from .simsiam import SimSiam
from .spectral_contrastive import SpectralContrastive, spectral_contrastive_terms
from .ssl_hsic import SSLHSIC, ssl_hsic_terms
from .vicreg import VICReg, vicreg_terms
from .w_mse import WMSE, w_mse_terms

__all__ = [
    "AbstractObjective",
    "AbstractStatelessObjective",
    "AlignmentUniformity",
    "BYOL",
    "BarlowTwins",
    "CDSSL",
    "CDSSLTerms",
    "CorInfoMax",
    "DCL",
    "GaussianMI",
    "HSICBottleneck",
    "InfoNCE",
    "JMI",
    "KernelVICReg",
    "LeJEPA",
    "Outputs",
    "SDMI",
    "SFRIK",
    "SSLHSIC",
    "SimSiam",
    "SpectralContrastive",
    "VICReg",
    "WMSE",
    "alignment_uniformity_terms",
    "barlow_twins_terms",
    "byol_terms",
    "cdssl_terms",
    "corinfomax_terms",
    "dcl_terms",
    "gaussian_mi_terms",
    "get_objective",
    "hsic_bottleneck_terms",
    "infonce_terms",
    "jmi_terms",
    "kernel_vicreg_terms",
    "lejepa_terms",
    "objective_names",
    "sdmi_terms",
    "sfrik_terms",
    "sigreg",
    "spectral_contrastive_terms",
    "ssl_hsic_terms",
    "vicreg_terms",
    "w_mse_terms",
]
