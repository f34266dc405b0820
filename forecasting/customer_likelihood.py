"""How likely customers are under BG/NBD and Gamma-Gamma, and the parameters under which they are likeliest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import optimize, special

from forecasting.customer_summary import NoUsableFitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    Objective = Callable[[FloatArray], tuple[float, FloatArray]]

_SMALLEST, _LARGEST = 1e-5, 1e5  # of a parameter, once time or money is scaled to a mean of one; at these the data do not tell
_FLAT: Final = 1e-5  # gradient of the mean log-likelihood at which a fit has arrived


def bg_nbd_objective(x: FloatArray, t_x: FloatArray, age: FloatArray, weight: FloatArray) -> Objective:
    """Minus the mean log-likelihood and its gradient, by the logs of r, alpha, a and b; in the form of Fader and Hardie's note 27."""
    kinds, which = np.unique(x, return_inverse=True)
    of_kind = np.bincount(which, weights=weight)
    total, has_repeat = weight.sum(), x > 0

    def objective(logs: FloatArray) -> tuple[float, FloatArray]:
        r, alpha, a, b = np.exp(logs)
        log_age, log_last = np.log(alpha + age), np.log(alpha + t_x)
        survived = np.where(has_repeat, b + x - 1, 1.0)
        stayed = -(r + x) * log_age
        left = np.log(a) - np.log(survived) - (r + x) * log_last
        gone = np.where(has_repeat, special.expit(left - stayed), 0.0)
        paths = np.where(has_repeat, np.logaddexp(stayed, left), stayed)
        by_kind = (
            special.gammaln(r + kinds) - special.gammaln(r) + r * np.log(alpha)
            + special.gammaln(b + kinds) - special.gammaln(b) + special.gammaln(a + b) - special.gammaln(a + b + kinds)
        )  # fmt: skip
        both = special.psi(a + b) - special.psi(a + b + kinds)
        mixed = weight * ((1 - gone) / (alpha + age) + gone / (alpha + t_x))
        slope = np.array([
            of_kind @ (special.psi(r + kinds) - special.psi(r) + np.log(alpha)) - weight @ ((1 - gone) * log_age + gone * log_last),
            total * r / alpha - mixed @ (r + x),
            of_kind @ both + weight @ gone / a,
of_kind @ (special.psi(b + kinds) - special.psi(b) + both) - weight @ (gone / survived),
        ])  # fmt: skip
        return float(-(of_kind @ by_kind + weight @ paths) / total), -slope * np.exp(logs) / total

    return objective


def gamma_gamma_objective(x: FloatArray, value: FloatArray, weight: FloatArray) -> Objective:
    """Minus the mean log-likelihood (equation 1a) and its gradient, by the logs of p, q and gamma."""
    kinds, which = np.unique(x, return_inverse=True)
    of_kind = np.bincount(which, weights=weight)
    total, log_value, log_x, spent = weight.sum(), np.log(value), np.log(x), x * value

    def objective(logs: FloatArray) -> tuple[float, FloatArray]:
        p, q, gamma = np.exp(logs)
        px, spread = p * x, np.log(gamma + spent)
        by_kind = special.gammaln(p * kinds + q) - special.gammaln(p * kinds) - special.gammaln(q) + q * np.log(gamma)
        each = (px - 1) * log_value + px * log_x - (px + q) * spread
        both = special.psi(p * kinds + q)
        slope = np.array([
            of_kind @ (kinds * (both - special.psi(p * kinds))) + weight @ (x * (log_value + log_x - spread)),
            of_kind @ (both - special.psi(q) + np.log(gamma)) - weight @ spread,
            total * q / gamma - weight @ ((px + q) / (gamma + spent)),
        ])  # fmt: skip
        return float(-(of_kind @ by_kind + weight @ each) / total), -slope * np.exp(logs) / total

    return objective


def summit(objective: Objective, *, starts: tuple[tuple[float, ...], ...], names: str, otherwise: str) -> tuple[list[float], float]:
    """The best point that several starts lead to, and minus the mean log-likelihood there.

    Args:
        objective: Value and gradient by the logs of the parameters.
        starts: Parameters to start from.
        names: Of the parameters, for the message.
        otherwise: What it means for the data that there is no summit, and what to do.

    Raises:
        NoUsableFitError: The search has not arrived, or ended at the edge of what was searched.
    """
    low, high = np.log(_SMALLEST), np.log(_LARGEST)
    results = [
        optimize.minimize(
            objective, np.log(start), jac=True, method="L-BFGS-B", bounds=[(low, high)] * len(start),
            options={"maxiter": 2_000, "maxfun": 4_000, "ftol": 1e-15, "gtol": 1e-9},
        )
        for start in starts
    ]  # fmt: skip
    best = min(results, key=lambda result: float(result.fun))
    at_edge = [name for name, log in zip(names.split(), best.x, strict=True) if not low + 0.01 < log < high - 0.01]
    if at_edge:
        raise NoUsableFitError(f"The likelihood still rises at the edge ({', '.join(at_edge)}): {otherwise}.")
    if not np.isfinite(best.fun) or np.abs(best.jac).max() > _FLAT:
        raise NoUsableFitError(f"The fit has not arrived after {best.nit} steps: {otherwise}.")
    return [float(value) for value in np.exp(best.x)], float(best.fun)
