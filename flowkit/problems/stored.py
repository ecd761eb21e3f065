"""Problems as plain data, for files; every number exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flowkit.problems.phase_retrieval import PhaseRetrieval
from flowkit.problems.symbolic_loss import SymbolicLoss
from flowkit.problems.teacher_student import TeacherStudent
from flowkit.problems.vector_field import VectorField
from symbolic import stored_activations


def packed(problem: Any) -> dict[str, Any]:
    """Plain data that `unpacked` makes the problem of again."""
    if isinstance(problem, TeacherStudent):
        rows = [[str(x) for x in row] for row in problem.exact_teacher]
        return {
            "kind": "relu" if problem.homogeneous else "kernel",
            "teacher": rows,
            "activation": stored_activations.packed(problem.activation),
        }
    if isinstance(problem, PhaseRetrieval):
        samples = problem.samples
        return {
            "kind": "quadratic",
            "teacher": [str(x) for x in problem.exact_teacher[0]],
            "output_scale": problem.output_scale,
            "samples": None if samples is None else samples.tolist(),
        }
    from symbolic.tree import tree

    source = problem.expressions()
    names = [str(x) for x in problem.variables]
    if isinstance(problem, SymbolicLoss):
        return {"kind": "loss", "expression": tree(source.loss), "variables": names}
    parts = [tree(x) for x in source.field]
    return {"kind": "field", "expressions": parts, "variables": names, "t": str(source.time)}


def unpacked(saved: dict[str, Any]) -> Any:
    """What `packed` took apart."""
    kind = saved["kind"]
    if kind in ("relu", "kernel"):
        rows = [[Fraction(x) for x in row] for row in saved["teacher"]]
        return TeacherStudent(rows, activation=stored_activations.unpacked(saved["activation"]))
    if kind == "quadratic":
        teacher = [Fraction(x) for x in saved["teacher"]]
        return PhaseRetrieval(teacher, saved["output_scale"], saved["samples"])
    from symbolic.tree import expression, symbols

    variables = symbols(saved["variables"])
    if kind == "loss":
        return SymbolicLoss(expression(saved["expression"]), variables)
    parts = [expression(x) for x in saved["expressions"]]
    return VectorField(parts, variables, symbols([saved["t"]])[0])
