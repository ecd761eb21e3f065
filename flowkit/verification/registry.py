"""All claims that can be checked, by id."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from flowkit.verification.claim import Claim
from flowkit.verification.groups import ORDER

_SOURCES = (
    "closed_forms",
    "xu_du",
    "xu_du_descent",
    "xu_du_initialisation",
    "xu_du_phases",
    "xu_du_potential",
    "beyond",
    "beyond_deaths",
    "beyond_teachers",
)
_PAPERS = [import_module(f"flowkit.verification.papers.{source}") for source in _SOURCES]
_LISTED = [claim for paper in _PAPERS for claim in paper.CLAIMS]
_CLAIMS: dict[str, Claim] = {}


def in_order(listed: Iterable[Claim]) -> list[Claim]:
    """By group, in the order of `groups.ORDER`; those of other groups, or of none, come last."""
    rank = {group: i for i, group in enumerate(ORDER)}
    return sorted(listed, key=lambda claim: rank.get(claim.group, len(rank)))


def register(claim: Claim) -> Claim:
    """Add a claim; its id must be new."""
    if claim.id in _CLAIMS:
        raise ValueError(f"claim: id {claim.id!r} is taken")
    _CLAIMS[claim.id] = claim
    return claim


for _claim in in_order(_LISTED):
    register(_claim)


def claims() -> list[Claim]:
    """Every claim that flowkit can check, by group."""
    return list(_CLAIMS.values())


def find(ids: Any = None) -> list[Claim]:
    """The claims of these ids (one, several, or None for all).

    Raises
    ------
    ValueError
        An id that is not known.
    """
    known = {claim.id: claim for claim in claims()}
    if ids is None:
        return list(known.values())
    wanted = [ids] if isinstance(ids, str) else list(ids)
    if not wanted:
        raise ValueError("claims: the list is empty; None checks all")
    for name in wanted:
        if name not in known:
            raise ValueError(f"claims: unknown {name!r}; known are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)]
