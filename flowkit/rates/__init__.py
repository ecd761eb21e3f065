"""Asymptotic decay rates, with honest intervals, from one computed run."""

from flowkit.rates.fits import fit_exponential, fit_power_law, fit_rate
from flowkit.rates.limit_result import Limit
from flowkit.rates.limits import extrapolate
from flowkit.rates.results import ExponentialFit, PowerLawFit, RateDecision

__all__ = [
    "ExponentialFit",
    "Limit",
    "PowerLawFit",
    "RateDecision",
    "extrapolate",
    "fit_exponential",
    "fit_power_law",
    "fit_rate",
]
