"""`flowkit.integrate`, `resume` and `load`: in doubles, or in as many digits as asked for."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit.flows.costs import MAX_STEPS

if TYPE_CHECKING:
    from flowkit.descents.descent import Descent
    from flowkit.flows.flow import Flow
    from flowkit.multiprecision.flow import PreciseFlow


def integrate(
    problem: Any,
    w0: Any,
    t_max: Any,
    *,
    rtol: float | None = None,
    t_eval: Any = None,
    method: str = "auto",
    precision: int | None = None,
    certify: bool = True,
    events: Any = None,
    stop_loss: float | None = None,
    stop_gradient: float | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = inf,
    checkpoint: Any = None,
    progress: bool | None = None,
) -> Flow | PreciseFlow:
    """Run the gradient flow dW/dt = −∇L(W), or an equation dy/dt = f(t, y), from w0 to t_max.

    Parameters
    ----------
    problem : TeacherStudent, PhaseRetrieval, SymbolicLoss or VectorField
        What is learnt, or the equation.
    w0 : array_like, shape (n, d), or (N,) for a SymbolicLoss or VectorField
        State at t = 0, taken as exact: a float is the double that it is; with `precision`, the
        string "0.1" is a tenth.  No ReLU or arc-cosine student may be zero.
    t_max : float
        End of the run, > 0; 1e100 costs little more than 1e12 (with `precision`, at most 1e100).
    rtol : float, optional
        Tolerance.  In doubles 1e-13 … 0.1, by default 1e-10: for one teacher the relative error of
        the loss is of this order at every t, and below 1000 rtol; ``flow.loss_error`` estimates it.
        With `precision` all of its digits are aimed at, or those of a larger `rtol`.
    t_eval : array_like, optional
        Times, increasing in [0, t_max], at which the result is stored; by default where steps
        end, and between so that there are 3 a decade.
    method : {"auto", "structured", "Radau", "BDF", "LSODA", "DOP853"}
        In doubles: "structured": our Radau IIA of 5 or 6 stages, implicit only where the flow is
        stiff; no Newton matrix; for ReLU students.  The others are SciPy's, on the same
        coordinates, with a dense one (DOP853 is explicit).  "auto" takes "structured" for one ReLU
        teacher, "Radau" for several (up to n·d = 400) and for quadratic activation, "DOP853" for
        one quadratic student.  In many digits: only "auto", Radau IIA with many stages.
    precision : int, optional
        Decimal digits, at least 15: the result is a `PreciseFlow` of mpmath numbers.  Without, the
        run is made in doubles; a SymbolicLoss, a VectorField or an activation other than (leaky)
        ReLU, for which there are no coordinates in which doubles suffice, is run in as many digits
        as `rtol` needs and returned in doubles.
    certify : bool
        In many digits: repeat the run with other stages, a finer tolerance and more bits, and say
        on how many digits the two agree.  False: one run only, and no word on its digits.
    events : callable or list of callables, optional
        In doubles: ``event(t, w) -> float``, w of shape (n, d): zeros are located and listed in
        ``flow.events``.  Attributes ``terminal`` and ``direction`` as in
        `scipy.integrate.solve_ivp`.
    stop_loss, stop_gradient : float, optional
        In doubles: stop where the loss, or ‖∇L‖, has fallen to this value.
    max_steps : int
        Stop after so many accepted steps.
    max_seconds : float
        Stop when a run has taken so long; the result is what was reached.
    checkpoint : path, optional
        Save the run there every half minute and at its end; `flowkit.resume` goes on from it.
    progress : bool, optional
        Show a bar in log t; by default only on a terminal, and only if the run takes a while.

    Returns
    -------
    Flow or PreciseFlow

    Raises
    ------
    ValueError
        One line naming the argument and what is wrong with it.

    Notes
    -----
    In doubles the flow is computed in the span of teachers and students, with equal students merged
    (they stay equal), in coordinates that keep relative accuracy: see `flowkit.flows.coordinates`.
    A neuron that reaches zero norm is located, reported in ``flow.events``, left at zero for as
    long as zero holds it, and the run goes on; in many digits the run stops there.  Ctrl-C returns
    what was reached.
    """
    from flowkit.problems.symbolic_loss import SymbolicLoss
    from flowkit.problems.teacher_student import TeacherStudent
    from flowkit.problems.vector_field import VectorField

    common: dict[str, Any] = {
        "rtol": rtol,
        "t_eval": t_eval,
        "max_steps": max_steps,
        "max_seconds": max_seconds,
        "checkpoint": checkpoint,
        "progress": progress,
    }
    given = {"events": events, "stop_loss": stop_loss, "stop_gradient": stop_gradient}
    symbolic = isinstance(problem, SymbolicLoss | VectorField)
    by_kernel = isinstance(problem, TeacherStudent) and not problem.homogeneous
    if precision is None and not (symbolic or by_kernel):
        from flowkit.flows import run

        common["rtol"] = 1e-10 if rtol is None else rtol
        return run.integrate(problem, w0, t_max, method=method, **common, **given)
    from flowkit.multiprecision import run as precise

    if method != "auto":
        raise ValueError(f"method: only 'auto' is known in many digits, got {method!r}")
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}: only in double precision")
    return precise.integrate(problem, w0, t_max, precision=precision, certify=certify, **common)


def load(file: Any) -> Flow | PreciseFlow | Descent:
    """Read a run that was saved; a flow can be evaluated at any t as before.

    Raises
    ------
    ValueError
        No such file, not a flowkit run, truncated or altered.
    """
    from flowkit.multiprecision import storage

    path = Path(file)
    if storage.recognises(path):
        return storage.read(path)
    from flowkit.flows.storage import load

    arrays, meta = load(path)
    if meta["kind"] == "descent":
        from flowkit.descents import descent

        return descent.unpacked(arrays, meta)
    from flowkit.flows import flow

    return flow.unpacked(arrays, meta)


def resume(
    file: Any,
    t_max: Any = None,
    *,
    steps: Any = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float = inf,
    checkpoint: Any = None,
    progress: bool | None = None,
) -> Flow | PreciseFlow | Descent:
    """Go on with a saved run (a checkpoint, or an interrupted one) to t_max, or to `steps`.

    Parameters
    ----------
    file : path
        Written by ``integrate(..., checkpoint=file)``, ``descend(..., checkpoint=file)`` or
        ``save``.
    t_max : float, optional
        A new end of a flow; by default the one that the run was meant to reach.
    steps : int, optional
        The same of a descent: iterations in all.  The result is, bit for bit, that of a run that
        never stopped.
    max_steps, max_seconds, checkpoint, progress
        As for `integrate` (`max_steps`: flows only); steps are counted from the beginning of the
        run.

    Raises
    ------
    ValueError
        No such file, not a flowkit run, altered, or an end that has already been passed.
    """
    from flowkit.flows.flow import Flow
    from flowkit.multiprecision.flow import PreciseFlow

    saved = load(file)
    flow = isinstance(saved, Flow | PreciseFlow)
    if flow and steps is not None:
        raise ValueError("steps: only of a descent; a flow goes on to t_max")
    if not flow and t_max is not None:
        raise ValueError("t_max: only of a flow; a descent goes on to `steps`")
    if isinstance(saved, Flow):
        from flowkit.flows.run import go_on

        return go_on(saved, t_max, max_steps, max_seconds, checkpoint, progress)
    if isinstance(saved, PreciseFlow):
        from flowkit.flows.costs import checked_count, checked_seconds
        from flowkit.multiprecision.certify import Limits
        from flowkit.multiprecision.run import go_on as precisely

        limits = Limits(checked_count(max_steps), checked_seconds(max_seconds))
        return precisely(saved, t_max, limits, checkpoint, progress)
    from flowkit.descents.run import go_on as descend_on

    return descend_on(saved, steps, max_seconds, checkpoint, progress)
