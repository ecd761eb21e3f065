"""L ~ C t⁻³: at least one teacher is learnt by students of different directions."""

from __future__ import annotations

from typing import Any, NamedTuple

import mpmath
import numpy as np

from flowkit.asymptotics.derived import relu_exponent
from flowkit.asymptotics.ends import Cluster, End
from flowkit.asymptotics.energy import Energy
from flowkit.asymptotics.newton import (
    NoProfileError,
    centred,
    double,
    doubles,
    norm,
    scaled,
    stretch,
    to_number,
)
from flowkit.asymptotics.profile import LARGEST, Profile, refined
from flowkit.asymptotics.result import Asymptotics, Term
from flowkit.problems.exact import to_mpf

Array = np.ndarray

# Distance of a shape to its profile, relative, up to which it is on its way there; or λ − 1 if that
# is less: deviations of this size are no longer held back by their linear decay.
ALIKE = 0.1
OFF = 0.05  # relative distance of t³L to that of the slow manifold, beyond which it is not there
LATE = 2  # τ/t above which t³L is not yet near its limit
NOTHING = 1e-12  # a coefficient, relative to the constant, that is rounding


class Fit(NamedTuple):
    """A cluster, the energy in the limit of h, its profile, and errors in units of ‖v‖².

    `off` is the relative distance of the last shape to the profile; `now` is F + F₄/t of that
    shape, what t³L should be; `age` is τ = t + t₀ over t.
    """

    cluster: Cluster
    energy: Energy
    profile: Profile
    error: float
    off: float
    now: float
    age: float = 1.0


def power_law(
    problem: Any, last: End, before: End, n: int, digits: int | None, fast_rate: Any
) -> Asymptotics:
    """The prediction for n students from a state and an earlier one, whose limits of h tell the
    error of h."""
    known: dict[str, Any] = {"exponent": relu_exponent(), "fast_rate": fast_rate}
    try:
        fits = [_fit(problem, last, before, k, digits) for k in range(len(last.clusters))]
    except NoProfileError as why:
        reason = f"{_situation(last)}; undecided: {why}"
        return Asymptotics(kind="power law", reason=reason, **known)
    known |= _found(fits, last, n)
    why_not = _undecided(fits, last)
    if why_not:
        return Asymptotics(kind="power law", reason=f"{_situation(last)}; {why_not}", **known)
    total = sum(fit.cluster.length**2 * fit.profile.constant for fit in fits)
    error = sum(to_number(fit.cluster.length) ** 2 * fit.error for fit in fits)
    reason = f"{_situation(last)}; the shape is within {max(f.off for f in fits):.0e} of a profile"
    age = max(fit.age for fit in fits)
    if age > LATE:
        reason += f"; the law sets in late, at t ~ {age * to_number(last.t):.0e}"
    if not last.accuracy < 0.1:
        reason += "; no digit of the flow is certain there"
    return Asymptotics(
        kind="power law",
        reason=reason,
        constant=to_mpf(total) if digits is not None else float(total),
        error=float(error + abs(to_number(total)) * last.accuracy),
        corrections=_corrections(fits),
        **known,
    )


def _fit(problem: Any, last: End, before: End, k: int, digits: int | None) -> Fit:
    """The profile of one cluster."""
    cluster = last.clusters[k]
    alone = len(last.clusters) == 1
    energy = _limit(problem, cluster, last.t, alone)
    shape = cluster.b * last.t
    if len(cluster.members) == 1:
        still = 0 * shape
        nothing = energy.value(still)
        profile = Profile(energy.h, still, nothing, 0.0, nothing, ())
        return Fit(cluster, energy, profile, 0.0, 0.0, 0.0)
    if shape.size > LARGEST:
        raise NoProfileError(f"{shape.size} unknowns are too many for its profile")
    profile = refined(energy, shape, last.dims, digits)
    plain = double(energy)
    gap = doubles(scaled(energy, centred(energy, shape)) - profile.beta)
    drift = np.abs(doubles(_limit(problem, before.clusters[k], before.t, alone).h - energy.h))
    # What is still to come of h is known to leading order in the angles.
    angle = np.sqrt((doubles(cluster.b) ** 2).sum(axis=1)) / doubles(cluster.h)
    drift += np.abs(doubles(energy.h - cluster.h)) * angle.max()
    # F is critical in β, so only its explicit dependence on h counts; twice, as F = −2 (F − ½‖β‖²).
    slopes = np.abs(doubles(energy.slope_along(profile.beta)))
    error = profile.error + 2 * float(cluster.sizes * slopes @ drift)
    now = energy.value(shape) + (energy.fourth(shape) / last.t if alone else 0)
    off = norm(plain, gap) / norm(plain, doubles(profile.beta))
    age = to_number(_age(energy, cluster.b, last.t) / last.t)
    return Fit(cluster, energy, profile, error, off, to_number(now), age)


def _limit(problem: Any, cluster: Cluster, t: Any, alone: bool) -> Energy:
    """The energy in the limit of h: with b = β/τ, ḣ ~ τ⁻³, so h is still to change by ½ τ ḣ."""
    energy = Energy(cluster.h, cluster.sizes, *problem.weights)
    if not alone or len(cluster.members) == 1:  # other teachers move h at order t⁻² too
        return energy
    slopes = energy.slope_along(cluster.b)
    mean = (cluster.sizes * slopes).sum() / cluster.count
    h = cluster.h - (slopes - mean) * _age(energy, cluster.b, t) / 2
    if energy.exact:
        h = np.array([x.mid() for x in h], object)
    return Energy(h, cluster.sizes, *problem.weights)


def _age(energy: Energy, b: Array, t: Any) -> Any:
    """τ = t + t₀, where b = β/τ with the β of its shape; t if it has none."""
    try:
        return stretch(energy, b)
    except NoProfileError:
        return t


def _found(fits: list[Fit], last: End, n: int) -> dict[str, Any]:
    """What is known of the profile whether or not the flow is near it."""
    exact = fits[0].energy.exact
    convert = np.frompyfunc(to_mpf if exact else float, 1, 1)
    kind = object if exact else float
    lifted = [convert(last.lift(fit.profile.beta)).astype(kind) for fit in fits]
    zero = mpmath.mpf(0) if exact else 0.0
    h, profile = np.full(n, zero, kind), np.full((n, lifted[0].shape[1]), zero, kind)
    for fit, rows in zip(fits, lifted, strict=True):
        for row, group in enumerate(fit.cluster.members):
            h[group] = convert(fit.energy.h[row])
            profile[group] = rows[row]
    moving = [fit.profile for fit in fits if fit.profile.eigenvalues]
    return {
        "h": h,
        "profile": profile,
        "eigenvalues": tuple(x for profile in moving for x in profile.eigenvalues),
        "stable": all(profile.stable for profile in moving),
    }


def _corrections(fits: list[Fit]) -> tuple[Term, ...]:
    """Of t³L: ln t/t, 1/t, and squares of those deviations of the shape that are as slow, or of the
    slowest."""
    terms = [Term(power=-1)]
    logarithm: Any = None
    if len(fits) == 1:
        (fit,) = fits
        logarithm = fit.cluster.length**2 * fit.profile.log_coefficient
        logarithm = to_mpf(logarithm) if fit.energy.exact else float(logarithm)
    if logarithm is None or abs(logarithm) > NOTHING * abs(to_number(fits[0].profile.constant)):
        terms.insert(0, Term(power=-1, log_power=1, coefficient=logarithm))
    deviations = sorted({x for fit in fits for x in fit.profile.others})
    slow = [x for x in deviations if 1 < x <= 1.5] or deviations[:1]
    terms += [Term(power=-2 * (x - 1)) for x in slow if x > 1]
    return tuple(sorted(terms, key=lambda term: -term.power))


def _undecided(fits: list[Fit], last: End) -> str:
    """Why no constant can be had from this state; empty if it can."""
    cube = to_number(last.cube)
    predicted = sum(to_number(fit.cluster.length) ** 2 * fit.now for fit in fits)
    if not abs(cube - predicted) <= OFF * predicted:
        return "it is not on the slow manifold yet: run it further"
    far = [fit.off for fit in fits if fit.off > min(ALIKE, abs((fit.profile.slowest or 2) - 1))]
    if far:
        return f"undecided: it is {max(far):.1g} of its size away from a profile: run it further"
    if not all(fit.profile.stable for fit in fits):
        return "undecided: it is near an unstable profile, which it may leave: run it further"
    return ""


def _situation(last: End) -> str:
    counts = [len(cluster.members) for cluster in last.clusters]
    if len(counts) == 1:
        return f"one teacher learnt by {counts[0]} different students"
    listed = ", ".join(map(str, counts))
    return f"{len(counts)} teachers learnt by {listed} different students"
