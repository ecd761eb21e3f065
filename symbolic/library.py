"""All derivations, by name."""

from __future__ import annotations

from importlib import import_module

from symbolic.derivation import LIBRARY, Derivation

MODULES = (
    "gaussian",
    "pairs",
    "identities",
    "single_neuron",
    "toy_cases",
    "slow_manifold",
    "long_time",
    "phase_retrieval",
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
    if name not in known:
        raise ValueError(f"name: unknown {name!r}; known are {', '.join(known)}")
    return known[name]
