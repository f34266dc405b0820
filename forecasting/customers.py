"""Customers without a contract: who is still there, how often each will buy again, and what that is worth.

BG/NBD: a customer buys at a rate of their own (gamma over customers) and after each purchase leaves for good with a probability of
their own (beta). Gamma-Gamma: each purchase's amount scatters around the customer's own mean, which does not depend on the rate.

Source: Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2), equation numbers below;
Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from scipy import special

from forecasting.customer_likelihood import bg_nbd_objective, gamma_gamma_objective, summit
from forecasting.customer_summary import NoUsableFitError, UnusableSummaryError, require_repeat_customers, validated_summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


_MANY_GROUPS: Final = 3_000


@dataclass(frozen=True, slots=True)
class BgNbd:
    """A fitted BG/NBD model: rates are gamma(r, alpha), alpha in the summary's unit of time; leaving is beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    customers_count: int


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """A fitted Gamma-Gamma model: amounts are gamma(p, nu), nu is gamma(q, gamma) over customers; gamma in the summary's money."""

    p: float
    q: float
    gamma: float
    log_likelihood: float
    customers_count: int

    @property
    def mean_value(self) -> float:
        """What a purchase of a customer nobody knows is worth on average."""
        return self.p * self.gamma / (self.q - 1)


@dataclass(frozen=True, slots=True)
class HoldoutError:
    """What a model fitted before a cut-off said of the time after it, beside what happened and what each one's own past rate says.

    Counts are purchases of all customers; a bias rate is their relative error, null where nobody bought; the absolute errors are
    purchases per customer. `by_repeat_class`: repeat_class (purchases after the first before the cut-off, 7 stands for 7 and more),
    customers_count, actual_count, predicted_count, naive_count.
    """

    model: BgNbd
    customers_count: int
    actual_count: float
    predicted_count: float
    naive_count: float
    bias_rate: float | None
    naive_bias_rate: float | None
    absolute_error_mean: float
    naive_absolute_error_mean: float
    by_repeat_class: pl.DataFrame


def fit_bg_nbd(summary: pl.DataFrame) -> BgNbd:
    """The BG/NBD model under which these customers are likeliest.

    Args:
        summary: One row per customer, or per kind of customer with `customers_count`: x (purchases after the first), t_x (time of the
            last one since the first), T (time from the first until now), t_x and T in one unit. Grouped rows cost by the group.

    Raises:
        UnusableSummaryError: A number is not finite or negative, t_x > T, or t_x > 0 without a repeat purchase.
        TooFewRepeatCustomersError: Fewer than `LEAST_REPEAT_CUSTOMERS` bought again.
        NoUsableFitError: The likelihood has no summit within reach.
    """
    groups = _alike(validated_summary(summary))
    require_repeat_customers(groups)
    scale = float(np.average(groups["T"].to_numpy(), weights=groups["weight"].to_numpy()))
    starts: tuple[tuple[float, ...], ...] = ((1.0, 1.0, 1.0, 1.0), (0.3, 0.3, 0.5, 2.0))
    if groups.height > _MANY_GROUPS:  # most of the way is gone on coarse times, where far more customers are alike
        coarse = _alike(groups.with_columns((pl.col("t_x", "T") / scale * 25).round() * scale / 25))
        starts = (tuple(_likeliest(coarse, scale, starts)[0]),)
    found, best = _likeliest(groups, scale, starts)
    customers, purchases = float(groups["weight"].sum()), float((groups["weight"] * groups["x"]).sum())
    r, alpha, a, b = found
    # Densities of purchase times carry 1/time per repeat purchase, so the scale of time enters the likelihood.
    log_likelihood = float(-best * customers - purchases * np.log(scale))
    return BgNbd(r=r, alpha=alpha * scale, a=a, b=b, log_likelihood=log_likelihood, customers_count=int(customers))


def _alike(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("x", "t_x", "T").agg(pl.col("weight").sum()).sort("x", "t_x", "T")


def _likeliest(groups: pl.DataFrame, scale: float, starts: tuple[tuple[float, ...], ...]) -> tuple[list[float], float]:
    x, t_x, age, weight = (groups[name].to_numpy() for name in ("x", "t_x", "T", "weight"))
    return summit(
        bg_nbd_objective(x, t_x / scale, age / scale, weight),
        starts=starts,
        names="r alpha a b",
        otherwise="purchases say nothing certain about how customers differ or leave: use a longer history",
    )


def bg_nbd_log_likelihood(r: float, alpha: float, a: float, b: float, summary: pl.DataFrame) -> float:
    """Log-likelihood of these parameters, summed over customers (equation 6)."""
    rows = validated_summary(summary)
    x, t_x, age, weight = (rows[name].to_numpy() for name in ("x", "t_x", "T", "weight"))
    value, _ = bg_nbd_objective(x, t_x, age, weight)(np.log([r, alpha, a, b]))
    return float(-value * weight.sum())


def fit_gamma_gamma(summary: pl.DataFrame) -> GammaGamma:
    """The Gamma-Gamma model under which the mean amounts of repeat customers are likeliest.

    Args:
        summary: As for `fit_bg_nbd`, with monetary_value: mean amount of a customer's repeat purchases. Customers without a repeat
            purchase or without a positive amount tell nothing and are left out.

    Raises:
        UnusableSummaryError: As in `fit_bg_nbd`, or an amount is not finite.
        TooFewRepeatCustomersError: Fewer than `LEAST_REPEAT_CUSTOMERS` are left.
        NoUsableFitError: The likelihood has no summit within reach, or amounts scatter so widely that they have no mean (q <= 1).
    """
    rows = validated_summary(summary)
    if not rows["monetary_value"].drop_nulls().is_finite().all():
        raise UnusableSummaryError("monetary_value holds numbers that are not finite: leave unknown amounts null.")
    spent = rows.filter(pl.col("x") > 0, pl.col("monetary_value") > 0)
    require_repeat_customers(spent)
    x, value, weight = (spent[name].to_numpy().astype(np.float64) for name in ("x", "monetary_value", "weight"))
    scale = float(np.average(value, weights=weight))
    found, best = summit(
        gamma_gamma_objective(x, value / scale, weight),
        starts=((2.0, 3.0, 1.0),),
        names="p q gamma",
        otherwise="amounts hardly differ between customers or within one: use the plain mean amount",
    )
    p, q, gamma = found
    if q <= 1:
        raise NoUsableFitError(f"Amounts scatter so widely that they have no mean (q = {q:.3f}): cut off extreme amounts first.")
    log_likelihood = float(-best * weight.sum() - weight.sum() * np.log(scale))
    return GammaGamma(p=p, q=q, gamma=gamma * scale, log_likelihood=log_likelihood, customers_count=int(weight.sum()))


def expected_purchases(model: BgNbd, summary: pl.DataFrame, *, horizon: float) -> pl.Series:
    """Purchases each customer is expected to make within `horizon` from now (equation 10), in the summary's order.

    A customer of whom nothing is known yet (x, t_x and T zero) gives equation 9.
    """
    rows = validated_summary(summary)
    while_alive = _purchases_while_alive(model, rows["x"].to_numpy(), rows["T"].to_numpy(), horizon)
    return pl.Series("expected_purchases", while_alive * _alive(model, rows))


def probability_alive(model: BgNbd, summary: pl.DataFrame) -> pl.Series:
    """Probability that each customer has not left yet, in the summary's order.

    It is 1 for everybody without a repeat purchase, because the model lets nobody leave but after one: such customers cannot be told
    apart by it. Rank customers by expected purchases.
    """
    return pl.Series("p_alive", _alive(model, validated_summary(summary)))


def expected_value(model: GammaGamma, summary: pl.DataFrame) -> pl.Series:
    """Mean amount of each customer's future purchases, in the summary's order; the mean of all where no amount is known."""
    rows = validated_summary(summary)
    x = np.where(rows["monetary_value"].fill_null(0).to_numpy() > 0, rows["x"].to_numpy(), 0)
    spent = rows["monetary_value"].fill_null(0).to_numpy() * x
    return pl.Series("expected_value", model.p * (model.gamma + spent) / (model.p * x + model.q - 1))


def lifetime_value(
    bg_nbd: BgNbd, gamma_gamma: GammaGamma, summary: pl.DataFrame, *, horizon: float, discount_rate: float = 0.0, periods: int = 12
) -> pl.Series:
    """What each customer's purchases within `horizon` from now are expected to bring, in the summary's order.

    Args:
        bg_nbd: How often.
        gamma_gamma: How much each time.
        summary: x, t_x, T and monetary_value.
        horizon: In the summary's unit of time.
        discount_rate: Per unit of time; a purchase at t counts 1 / (1 + discount_rate) ** t. 0 sums amounts as they come.
        periods: Into how many equal parts the horizon is cut for discounting, each at its middle.
    """
    if discount_rate <= -1 or periods < 1:
        raise ValueError(f"A discount rate of {discount_rate} over {periods} periods means nothing: above -1 and at least one are needed.")
    edges = np.linspace(0, horizon, (periods if discount_rate else 1) + 1)
    until = [expected_purchases(bg_nbd, summary, horizon=float(edge)).to_numpy() for edge in edges[1:]]
    middles = (edges[:-1] + edges[1:]) / 2
    purchases = np.diff(np.array([np.zeros(summary.height), *until]), axis=0).T @ (1 + discount_rate) ** -middles
    return pl.Series("lifetime_value", purchases * expected_value(gamma_gamma, summary).to_numpy())


def holdout_error(summary: pl.DataFrame, *, horizon: float) -> HoldoutError:
    """How far a model of the time before a cut-off was off in the time after it.

    Args:
        summary: As for `fit_bg_nbd`, seen from the cut-off, with holdout_x: purchases within `horizon` after it. The naive forecast is
            each customer's own rate of repeat purchases until the cut-off.
        horizon: Length of the hold-out, in the summary's unit of time.

    Raises:
        CustomerModelError: As `fit_bg_nbd`.
    """
    model = fit_bg_nbd(summary)
    rate = pl.when(pl.col("T") > 0).then(pl.col("x") / pl.col("T")).otherwise(0.0)
    rows = validated_summary(summary).with_columns(
        expected_purchases(model, summary, horizon=horizon).alias("predicted"),
        (rate * horizon).alias("naive"),
        pl.col("holdout_x").cast(pl.Float64).alias("actual"),
    )
    classes = (
        rows.group_by(pl.col("x").clip(upper_bound=7).cast(pl.Int64).alias("repeat_class"))
        .agg(
            pl.col("weight").sum().cast(pl.Int64).alias("customers_count"),
            *((pl.col(name) * pl.col("weight")).sum().alias(f"{name}_count") for name in ("actual", "predicted", "naive")),
        )
        .sort("repeat_class")
    )
    counted = {name: float(classes[f"{name}_count"].sum()) for name in ("actual", "predicted", "naive")}
    actual, weight = rows["actual"].to_numpy(), rows["weight"].to_numpy()
    off = {name: float(np.average(np.abs(rows[name].to_numpy() - actual), weights=weight)) for name in ("predicted", "naive")}
    bias = {name: counted[name] / counted["actual"] - 1 if counted["actual"] else None for name in ("predicted", "naive")}
    return HoldoutError(
        model=model, customers_count=int(weight.sum()), actual_count=counted["actual"], predicted_count=counted["predicted"],
        naive_count=counted["naive"], bias_rate=bias["predicted"], naive_bias_rate=bias["naive"],
        absolute_error_mean=off["predicted"], naive_absolute_error_mean=off["naive"], by_repeat_class=classes,
    )  # fmt: skip


def _alive(model: BgNbd, rows: pl.DataFrame) -> FloatArray:
    x, t_x, age = (rows[name].to_numpy() for name in ("x", "t_x", "T"))
    odds = (
        np.log(model.a) - np.log(np.maximum(model.b + x - 1, model.b)) + (model.r + x) * np.log((model.alpha + age) / (model.alpha + t_x))
    )
    return np.where(x > 0, special.expit(-odds), 1.0)


def _purchases_while_alive(model: BgNbd, x: FloatArray, age: FloatArray, horizon: float) -> FloatArray:
    """Equation 10 without its denominator: purchases of a customer who has not left.

    Integrated over the customer's probability of leaving instead of by the hypergeometric function, whose values in SciPy are wrong
    by orders of magnitude, without a warning, for large a, b, x or horizons. The trapezoidal rule on the logit is exact to about
    1e-9, because the integrand is smooth and dies out at both ends.
    """
    expected = np.empty(len(x))
    for count in np.unique(x):
        chosen = x == count
        ages, which = np.unique(age[chosen], return_inverse=True)
        leaves, share = _leaving_nodes(model.a, model.b + count)
        pace = horizon / (model.alpha + ages)[:, None]
        expected[chosen] = (-np.expm1(-(model.r + count) * np.log1p(leaves * pace)) @ (share / leaves))[which]
    return expected


def _leaving_nodes(a: float, b: float) -> tuple[FloatArray, FloatArray]:
    """Probabilities that stand for a beta(a, b), and the share of each."""
    centre, deviation = special.psi(a) - special.psi(b), np.sqrt(special.polygamma(1, a) + special.polygamma(1, b))
    low, high = max(centre - 8 * deviation - 30 / a, -600.0), centre + 8 * deviation + 30 / b  # exp(-600) is still a number
    logit = np.linspace(low, high, int(np.ceil((high - low) / min(deviation / 3, 0.5))) + 2)
    log_share = a * -np.logaddexp(0, -logit) + b * -np.logaddexp(0, logit) - special.betaln(a, b)
    share = np.exp(log_share) * (logit[1] - logit[0])
    share[0] += max(1 - share.sum(), 0.0)  # where hardly anybody ever leaves, most of the mass lies below the lowest node
    return special.expit(logit), share
