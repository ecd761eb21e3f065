"""Asymptotic decay rates, with honest intervals, from one computed run."""

from flowkit.rates.fits import fit_exponential, fit_power_law, fit_rate
from flowkit.rates.results import ExponentialFit, PowerLawFit, RateDecision

__all__ = [
    "ExponentialFit",
    "PowerLawFit",
    "RateDecision",
    "fit_exponential",
    "fit_power_law",
    "fit_rate",
]
