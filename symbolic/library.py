"""All derivations, by name."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from symbolic.derivation import LIBRARY, Derivation

MODULES = (
    "gaussian",
    "pairs",
    "identities",
    "single_neuron",
    "toy_cases",
    "separation",
    "slow_manifold",
    "long_time",
    "toy_series",
    "arc_cosine",
    "erf_kernel",
    "moments",
    "gaussian_moments",
    "quadratic_loss",
    "quadratic_hessian",
    "quadratic_dynamics",
    "quadratic_components",
    "quadratic_scale",
    "quadratic_single",
    "quadratic_rate",
    "quadratic_corrections",
)


def derivations() -> list[Derivation]:
    """Every derivation, in the order of the library."""
    for module in MODULES:
        import_module(f"symbolic.{module}")
    return [derived() for derived in LIBRARY.values()]


def derive(name: str) -> Derivation:
    """The derivation of this name.

    Raises
    ------
    ValueError
        Unknown; lists those that are known.
    """
    known = {derivation.name: derivation for derivation in derivations()}
    if not isinstance(name, str) or name not in known:
        near = get_close_matches(str(name), known, 1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"name: unknown {name!r}{meant}; known are {', '.join(known)}")
    return known[name]
