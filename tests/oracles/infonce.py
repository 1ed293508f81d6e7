"""InfoNCE against HSIC on a finite population: gap, cumulants and the sandwich of bounds.

A population is n equally likely points with Gram matrix `gram` [n, n] of k (= cos/τ) and, where positives matter,
their image numbers `identity` [n] (equally many points an image). The float64 entries are taken as exact and all
arithmetic is decimal with 60 digits, so that the plain formulas hold from R = 1e-15 to R = 100 without care for
cancellation or overflow; results are rounded to float at the end.
"""

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

import numpy as np

DIGITS = 60


def _rows(gram: np.ndarray) -> list[list[Decimal]]:
    """The Gram matrix as exact decimals."""
    return [[Decimal(float(v)) for v in row] for row in gram]


def _mean(values: Sequence[Decimal]) -> Decimal:
    """Plain average."""
    return sum(values, Decimal(0)) / len(values)


def _variance(values: Sequence[Decimal]) -> Decimal:
    """Average squared distance from the average (divided by n)."""
    centre = _mean(values)
    return _mean([(v - centre) ** 2 for v in values])


def log_mean_exp_gap(gram: np.ndarray) -> np.ndarray:
    """Λ(z) = log E exp(k(z,Z′) − E k(z,Z′)) for every z of the population [n]; non-negative by Jensen."""
    with localcontext(prec=DIGITS):
        result = []
        for row in _rows(gram):
            centre = _mean(row)
            result.append(float(_mean([(v - centre).exp() for v in row]).ln()))
    return np.array(result)


def mean_log_mean_exp_gap(gram: np.ndarray) -> float:
    """E_Z Λ(Z), the right-hand side of the exact decomposition L_InfoNCE + dep = E_Z Λ(Z)."""
    return math.fsum(log_mean_exp_gap(gram)) / len(gram)


def _positive(rows: list[list[Decimal]], identity: np.ndarray) -> Decimal:
    """E_pos k: average over ordered pairs of one image, each point with itself included."""
    n = len(rows)
    return _mean([rows[i][j] for i in range(n) for j in range(n) if identity[i] == identity[j]])


def dep(gram: np.ndarray, identity: np.ndarray) -> float:
    """E_pos k − E E k with replacement, self included."""
    with localcontext(prec=DIGITS):
        rows = _rows(gram)
        return float(_positive(rows, identity) - _mean([v for row in rows for v in row]))


def infonce(gram: np.ndarray, identity: np.ndarray) -> float:
    """L_InfoNCE = −E_pos k + E_Z log E_Z′ exp k(Z,Z′) with the population denominator."""
    with localcontext(prec=DIGITS):
        rows = _rows(gram)
        return float(_mean([_mean([v.exp() for v in row]).ln() for row in rows]) - _positive(rows, identity))


def gap(gram: np.ndarray, identity: np.ndarray) -> float:
    """L_InfoNCE + dep, both computed in full from their definitions and added before rounding."""
    with localcontext(prec=DIGITS):
        rows = _rows(gram)
        e_pos = _positive(rows, identity)
        loss = _mean([_mean([v.exp() for v in row]).ln() for row in rows]) - e_pos
        dependence = e_pos - _mean([v for row in rows for v in row])
        return float(loss + dependence)


def mean_variance(gram: np.ndarray) -> float:
    """E_Z Var_Z′ k(Z,Z′)."""
    with localcontext(prec=DIGITS):
        return float(_mean([_variance(row) for row in _rows(gram)]))


def variance_of_mean(gram: np.ndarray) -> float:
    """Var_Z(E_Z′ k(Z,Z′)), which is E Var − HSIC(Z,Z)."""
    with localcontext(prec=DIGITS):
        return float(_variance([_mean(row) for row in _rows(gram)]))


def self_hsic(gram: np.ndarray) -> float:
    """HSIC(Z,Z) = E k² − 2E_Z(E_Z′ k)² + (E E k)², the V-statistic of the population."""
    with localcontext(prec=DIGITS):
        rows = _rows(gram)
        means = [_mean(row) for row in rows]
        squares = _mean([v * v for row in rows for v in row])
        return float(squares - 2 * _mean([v * v for v in means]) + _mean(means) ** 2)


def expansion_error(gram: np.ndarray, identity: np.ndarray) -> float:
    """L_InfoNCE − (−dep + ½E Var): the error of the second-order expansion (Li et al., 2021)."""
    return gap(gram, identity) - 0.5 * mean_variance(gram)


def cumulants(values: np.ndarray, order: int) -> list[float]:
    """Cumulants κ_1 … κ_order of equally likely values, from raw moments about their mean.

    κ_m = μ_m − Σ_{j=1}^{m−1} C(m−1, j−1) κ_j μ_{m−j}.
    """
    with localcontext(prec=DIGITS):
        exact = [Decimal(float(v)) for v in values]
        centre = _mean(exact)
        moments = [_mean([(v - centre) ** m for v in exact]) if m else Decimal(1) for m in range(order + 1)]
        kappa = [Decimal(0)]
        for m in range(1, order + 1):
            lower = sum((math.comb(m - 1, j - 1) * kappa[j] * moments[m - j] for j in range(1, m)), Decimal(0))
            kappa.append(moments[m] - lower)
        return [float(centre + kappa[1]), *(float(v) for v in kappa[2:])]


def cumulant_series(values: np.ndarray, order: int) -> float:
    """Σ_{m=2}^{order} κ_m/m!, which tends to Λ only for a small range of the values."""
    kappa = cumulants(values, order)
    return math.fsum(kappa[m - 1] / math.factorial(m) for m in range(2, order + 1))


def exponential_remainder(x: float) -> float:
    """(e^x − 1 − x)/x², and ½ at x = 0; β(R) at x = R and α(R) at x = −R."""
    with localcontext(prec=DIGITS):
        exact = Decimal(float(x))
        return float((exact.exp() - 1 - exact) / exact**2) if exact else 0.5


def alpha(r: float) -> float:
    """α = (e^{−R} − 1 + R)/R²: e^x ≥ 1 + x + αx² for x ≥ −R."""
    return exponential_remainder(-r)


def beta(r: float) -> float:
    """β = (e^R − 1 − R)/R²: e^x ≤ 1 + x + βx² for x ≤ R."""
    return exponential_remainder(r)


def gamma_r(r: float) -> float:
    """γ_R = 4·log(1 + αR²/4)/R², and ½ at R = 0."""
    with localcontext(prec=DIGITS):
        exact = Decimal(float(r))
        return float(4 * (1 + ((-exact).exp() - 1 + exact) / 4).ln() / exact**2) if exact else 0.5


def range_of(gram: np.ndarray) -> float:
    """R = max k − min k over support × support, diagonal included."""
    return float(gram.max()) - float(gram.min())


def sandwich(gram: np.ndarray) -> dict[str, float]:
    """The bounds γ_R·HSIC ≤ γ_R·E Var ≤ L_InfoNCE + dep ≤ min{log(1 + β·E Var), R²/8}.

    Returns:
        `lower_hsic`, `lower_variance`, `upper_log` and `upper_hoeffding`.
    """
    with localcontext(prec=DIGITS):
        rows = _rows(gram)
        flat = [v for row in rows for v in row]
        r = max(flat) - min(flat)
        means = [_mean(row) for row in rows]
        e_var = _mean([_variance(row) for row in rows])
        hsic = e_var - _variance(means)
        if r == 0:
            return dict.fromkeys(("lower_hsic", "lower_variance", "upper_log", "upper_hoeffding"), 0.0)
        weight = 4 * (1 + ((-r).exp() - 1 + r) / 4).ln() / r**2
        upper = (1 + (r.exp() - 1 - r) / r**2 * e_var).ln()
        return {
            "lower_hsic": float(weight * hsic),
            "lower_variance": float(weight * e_var),
            "upper_log": float(upper),
            "upper_hoeffding": float(r**2 / 8),
        }
