"""The Jacobian of the velocity, for methods that form a Newton matrix.

∂g_i/∂w_i = Σ_b c_b (‖b‖/‖a‖) ν (I − āāᵀ + n̄n̄ᵀ),  ∂g_i/∂w_j = c_j [u I + ν (f̄f̄ᵀ − ēēᵀ − I)],
with ν, u as derived in `symbolic.pairs.pair_hessian`, ν = u + q.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from flowkit.flows.compiled import compiled
from flowkit.flows.coordinates import System, Work, combine, decode, magnified, slopes, workspace
from flowkit.flows.kernel import angle_and_defect

Array = np.ndarray


@compiled
def curvature(system: System, work: Work, blocks: Array) -> None:
    """∂g_i/∂w_j of the directions in `work`, filled into blocks (n, D, n, D).

    g is taken at ±w, the end of a student's line that faces the teacher.
    """
    count, dim = work.w.shape
    total = len(work.offsets)
    blocks[:] = 0.0
    e, f, normal = np.empty(dim), np.empty(dim), np.empty(dim)
    z, angle, defect = np.empty(1), np.empty(1), np.empty(1)
    for i in range(count):
        a = work.units[i]
        for j in range(total):
            if i == j:
                continue
            chord, span = 0.0, 0.0
            for p in range(dim):
                e[p] = work.offsets[j, p] - work.offsets[i, p]
                f[p] = work.offsets[j, p] + work.offsets[i, p] + (2.0 if p == 0 else 0.0)
                chord += e[p] * e[p]
                span += f[p] * f[p]
            chord, span = sqrt(chord), sqrt(span)
            z[0] = min(0.25 * chord * chord, 1.0)
            angle_and_defect(z, z[0], angle, defect)
            nu = angle[0] + defect[0]
            for p in range(dim):
                e[p] *= 1 / chord if chord > 0 else 0.0
                f[p] *= 1 / span if span > 0 else 0.0
                normal[p] = 0.5 * (chord * f[p] + span * e[p])
            own = system.facing[i] * work.weights[j] / work.norms[i] * nu
            for p in range(dim):
                for q in range(dim):
                    same = 1.0 if p == q else 0.0
                    blocks[i, p, i, q] += own * (same - a[p] * a[q] + normal[p] * normal[q])
                    if j < count:
                        shape = nu * (f[p] * f[q] - e[p] * e[q] - same) + defect[0] * same
                        factor = system.facing[j] * system.sizes[j]
                        blocks[i, p, j, q] += factor * shape


def jacobian(system: System, t: float, y: Array, work: Work) -> Array:
    """∂(dy/dx)/∂y at y, shape (N, N): the velocity is linear in (y, r, w, g), g's part is known."""
    count, dim = work.w.shape
    length = len(y)
    out = np.empty(length)
    slopes(system, t, y, work, out)
    blocks = np.empty((count, dim, count, dim))
    curvature(system, work, blocks)
    matrix = blocks.reshape(count * dim, count * dim)
    free = system._replace(teachers=np.zeros_like(system.teachers))
    change = workspace(system)
    result = np.empty((length, length))
    stretch = magnified(system, t)
    for column, unit in enumerate(np.eye(length)):
        decode(free, t, unit, stretch, change.r, change.w)
        change.g[:] = (matrix @ change.w.ravel()).reshape(count, dim)
        combine(free, t, unit, change, out)
        result[:, column] = out
    return result
