"""A derivation: named steps that render as mathematics and re-check themselves.

    @derivation("toy-2", "Students parallel to the teacher: exponential", "Xu & Du, toy case 2")
    def toy_2() -> Derived:
        ...
        return steps, result

makes ``toy_2()`` a `Derivation`, derived when its steps are first asked for, and lists it in
`LIBRARY` by its name.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any

import sympy as sp

from symbolic import documents, source
from symbolic.decide import DIGITS, Range, evaluable, point_of_difference, vanishes

Formula = Any  # an Expr, or a Matrix
Derived = tuple[Sequence["Step"], Any]
EXACT = "exact"


@dataclass(frozen=True)
class Step:
    """One equality ``before = after``, the rule that gives it, and how it is checked.

    Attributes
    ----------
    name, rule : str
        What it is, and why it holds.
    before, after : sympy expression or matrix
        Both sides; integrals, derivatives, limits and sums may stand unevaluated.
    domain : mapping of symbol to (low, high)
        Where points are drawn; by what is assumed of a symbol where it is not listed.
    reference : str
        Paper and equation.
    decidable : bool
        False: SymPy is not asked, since it would not find out or take minutes.
    """

    name: str
    rule: str
    before: Formula
    after: Formula
    domain: Mapping[sp.Symbol, Range] = field(default_factory=dict)
    reference: str = ""
    decidable: bool = True

    def check(self, seed: int = 0) -> str:
        """Compare both sides, at seeded random points and by SymPy.

        Returns
        -------
        str
            "exact" if SymPy reduces the difference to zero, else "50 digits, seed …".

        Raises
        ------
        ArithmeticError
            They differ, or nothing can be said; names the step.
        """
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"seed: expected an integer, got {seed!r}")
        left, right = self._entries(self.before), self._entries(self.after)
        if _shape(self.before) != _shape(self.after) or not left:
            raise ArithmeticError(f"step {self.name!r} fails: the sides differ in shape")
        verdicts = {
            self._compared(a.doit(), b.doit(), seed) for a, b in zip(left, right, strict=True)
        }
        return max(verdicts, key=len)

    def _entries(self, side: Formula) -> list[sp.Expr]:
        try:
            entries = list(side) if isinstance(side, sp.MatrixBase) else [sp.sympify(side)]
        except sp.SympifyError:
            entries = []
        if not all(isinstance(entry, sp.Expr) for entry in entries) or not _has_shape(side):
            raise ArithmeticError(f"step {self.name!r} fails: {side!r} is no expression or matrix")
        if any(entry.has(sp.Float) for entry in entries):
            raise ArithmeticError(f"step {self.name!r} fails: it holds a float; write a rational")
        return entries

    def _compared(self, before: sp.Expr, after: sp.Expr, seed: int) -> str:
        numbers = evaluable(before) and evaluable(after)
        if numbers:
            draw = random.Random(f"{seed} {self.name}")
            try:
                point = point_of_difference(before, after, self.domain, draw)
            except ArithmeticError as why:
                raise ArithmeticError(f"step {self.name!r} cannot be decided: it {why}") from None
            if point is not None:
                at = ", ".join(f"{s} = {x}" for s, x in point.items()) or "every point"
                raise ArithmeticError(f"step {self.name!r} fails at {at} (seed {seed})")
        if self.decidable and vanishes(before - after):
            return EXACT
        if not numbers:
            raise ArithmeticError(f"step {self.name!r} fails: SymPy does not reduce it to zero")
        return f"{DIGITS} digits, seed {seed}"


class Verdicts(dict[str, str]):
    """Of every step of a derivation, by its name: "exact", or "50 digits, seed …"."""

    @property
    def exact(self) -> int:
        """How many steps SymPy decided."""
        return list(self.values()).count(EXACT)

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        lines = [f"{name:{width}}  {verdict}" for name, verdict in self.items()]
        return "\n".join([*lines, f"{len(self)} steps hold, {self.exact} of them exactly"])


@dataclass(frozen=True)
class Derivation:
    """A chain of steps; its result is the expression that the numbers come from.

    Attributes
    ----------
    name, statement, reference : str
    steps : tuple of Step
    result : sympy expression, Tuple or Matrix
        The last line.
    """

    name: str
    statement: str
    reference: str
    derive: Callable[[], Derived] = field(repr=False)

    @cached_property
    def _derived(self) -> Derived:
        return self.derive()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._derived[0])

    @property
    def result(self) -> Any:
        return self._derived[1]

    def check(self, seed: int = 0) -> Verdicts:
        """Re-check every step.

        Raises
        ------
        ArithmeticError
            Names the first step that fails, and the seed.
        """
        verdicts = Verdicts((step.name, step.check(seed)) for step in self.steps)
        if len(verdicts) < len(self.steps):
            raise ArithmeticError(f"derivation {self.name!r} has two steps of one name")
        return verdicts

    @cached_property
    def verdicts(self) -> Verdicts:
        """`check` with seed 0, done once."""
        return self.check()

    def latex(self, document: bool = False) -> str:
        """Statement, steps and verdicts for a LaTeX text that loads amsmath; or a document."""
        return documents.latex_document(self) if document else documents.latex(self)

    def markdown(self) -> str:
        """The same as a numbered list with displayed formulas."""
        return documents.markdown(self)

    def python(self) -> str:
        """Python source of the result as a function of its symbols: numbers, or NumPy arrays.

        (Sums with a symbol as their bound take numbers only.)
        """
        return source.function(self.name, self.statement, self.result)

    def _repr_latex_(self) -> str:
        return documents.notebook(self)


LIBRARY: dict[str, Callable[[], Derivation]] = {}


def derivation(
    name: str, statement: str, reference: str = ""
) -> Callable[[Callable[[], Derived]], Callable[[], Derivation]]:
    """Make a function that returns steps and result a derivation of the library."""

    def decorate(derive: Callable[[], Derived]) -> Callable[[], Derivation]:
        made = Derivation(name, statement, reference, derive)

        @wraps(derive)
        def derived() -> Derivation:
            return made

        if name in LIBRARY:
            raise ValueError(f"name: there is a derivation {name!r} already")
        LIBRARY[name] = derived
        return derived

    return decorate


def _shape(side: Formula) -> tuple[int, ...]:
    return tuple(side.shape) if isinstance(side, sp.MatrixBase) else ()


def _has_shape(side: Formula) -> bool:
    return isinstance(side, sp.MatrixBase | sp.Expr | int) and not isinstance(side, bool)
