"""A derivation: named steps that render as mathematics and re-check themselves."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import sympy as sp

DIGITS = 50


@dataclass(frozen=True)
class Step:
    """One equality ``before = after``, the rule that gives it, and how it is checked.

    A step holds if SymPy reduces the difference to zero; failing that, if both sides agree to 50
    digits at seeded random points of `domain` (symbol → open interval).
    """

    name: str
    rule: str
    before: sp.Expr
    after: sp.Expr
    domain: dict[sp.Symbol, tuple[sp.Expr, sp.Expr]] = field(default_factory=dict)

    def difference(self) -> sp.Expr:
        before = (
            self.before.doit()
            if self.before.has(sp.Derivative, sp.Limit, sp.Integral)
            else self.before
        )
        return (before - self.after).rewrite(sp.sin)

    def check(self, seed: int = 0) -> str:
        """Return "exact" or "50 digits"; raise ArithmeticError naming the step that fails."""
        difference = self.difference()
        if sp.simplify(difference) == 0:
            return "exact"
        draw = random.Random(seed)
        for _ in range(5):
            point = {
                s: lo + (hi - lo) * sp.Rational(draw.randrange(1, 10**6), 10**6)
                for s, (lo, hi) in self.domain.items()
            }
            value = difference.subs(point).evalf(DIGITS + 10)
            if not value.is_number or abs(value) > sp.Float(10) ** -DIGITS:
                raise ArithmeticError(f"step {self.name!r} fails at {point} (seed {seed})")
        return f"{DIGITS} digits"


@dataclass(frozen=True)
class Derivation:
    """A chain of steps; its result is the expression that the numbers come from."""

    name: str
    statement: str
    steps: tuple[Step, ...]
    result: sp.Expr

    def check(self, seed: int = 0) -> dict[str, str]:
        """Re-check every step: {name: "exact" or "50 digits"}; raise on the first that fails."""
        return {step.name: step.check(seed) for step in self.steps}

    def latex(self) -> str:
        """The chain as one ``align*`` environment."""
        rows = [_row(step, sp.latex) for step in self.steps]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def markdown(self) -> str:
        """The chain as a numbered list with displayed formulas."""
        lines = [f"# {self.name}", "", self.statement, ""]
        for number, step in enumerate(self.steps, 1):
            formula = f"{sp.latex(step.before)} = {sp.latex(step.after)}"
            lines += [f"{number}. **{step.name}** ({step.rule})", "", f"   $$ {formula} $$", ""]
        return "\n".join(lines)

    def _repr_latex_(self) -> str:
        return self.latex()


def _row(step: Step, tex: Callable[[sp.Expr], str]) -> str:
    return rf"{tex(step.before)} &= {tex(step.after)} && \text{{{step.name}: {step.rule}}}"
