"""A derivation as LaTeX, Markdown, Python source, or mathematics in a notebook."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy.printing.numpy import NumPyPrinter

from symbolic import tex
from symbolic.special import NAMED, TERMS, OddDefect

if TYPE_CHECKING:
    from symbolic.derivation import Derivation, Step

PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage[a4paper, margin=25mm]{geometry}
\usepackage{amsmath, amssymb}
\allowdisplaybreaks
\renewcommand{\arraystretch}{1.4}
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt plus 2pt}
\begin{document}
"""


def latex(derivation: Derivation) -> str:
    """Statement, steps with their verdicts, and result, for a text that loads amsmath."""
    parts = [rf"\section*{{{tex.text(derivation.name)}}}", tex.text(_opening(derivation))]
    for number, step in enumerate(derivation.steps, 1):
        heading = rf"\textbf{{{number}. {tex.text(step.name)}.}} {tex.text(_because(step))}"
        verdict = rf"\hspace*{{\fill}}\mbox{{\textit{{{derivation.verdicts[step.name]}}}}}"
        parts.append(f"{heading} {verdict}\n{_align(tex.equation(step.before, step.after))}")
    parts.append(f"\\textbf{{Result.}}\n{_align(tex.result(derivation.result))}")
    return "\n\n".join(parts) + "\n"


def latex_document(derivation: Derivation) -> str:
    """A document that pdflatex compiles."""
    return f"{PREAMBLE}{latex(derivation)}\\end{{document}}\n"


def notebook(derivation: Derivation) -> str:
    """The chain as one formula, as notebooks show them."""
    rows = []
    for number, step in enumerate(derivation.steps, 1):
        words = f"{number}. {step.name}: {_because(step)} [{derivation.verdicts[step.name]}]"
        rows += [rf"&\text{{{tex.text(words)}}}", *_indented(step)]
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def markdown(derivation: Derivation) -> str:
    """Statement, steps as a numbered list with displayed formulas, and result."""
    lines = [f"# {derivation.name}", "", _opening(derivation), ""]
    for number, step in enumerate(derivation.steps, 1):
        verdict = derivation.verdicts[step.name]
        lines += [f"{number}. **{step.name}** ({_because(step)}) — *{verdict}*", ""]
        lines += [f"   $$ {_aligned(tex.equation(step.before, step.after))} $$", ""]
    lines += ["**Result**", "", f"$$ {_aligned(tex.result(derivation.result))} $$", ""]
    return "\n".join(lines)


def python(derivation: Derivation) -> str:
    """A module with one function of NumPy arrays that returns the result.

    Raises
    ------
    ValueError
        The result is not a formula in symbols.
    """
    result = derivation.result
    symbols = sorted(result.free_symbols, key=str)
    names = {s: sp.Symbol(_identifier(str(s))) for s in symbols}
    shaped = isinstance(result, sp.MatrixBase | sp.Tuple)
    entries = [sp.sympify(e).xreplace(names) for e in (result if shaped else [result])]
    if any(e.atoms(sp.Function) and e.has(sp.core.function.AppliedUndef) for e in entries):
        raise ValueError(f"name: the result of {derivation.name!r} has no numbers to be lowered to")
    shared, reduced = sp.cse(entries, sp.numbered_symbols("x_"), list=True)
    printer = NumPyPrinter({"fully_qualified_modules": True, "allow_unknown_functions": True})
    body = [f"    {symbol} = {printer.doprint(e)}" for symbol, e in shared]
    values = ", ".join(printer.doprint(e) for e in reduced)
    returned = f"({values},)" if shaped and len(reduced) == 1 else f"({values})"
    if isinstance(result, sp.MatrixBase):
        returned = f"numpy.array([{values}]).reshape({result.rows}, {result.cols})"
    arguments = ", ".join(str(x) for x in names.values())
    function = derivation.name.replace("-", "_")
    lines = [f'"""{derivation.statement}."""', "", "import numpy", ""]
    for named in NAMED:
        if any(e.has(named) for e in entries):
            lines += ["", *_named_source(named), ""]
    lines += ["", f"def {function}({arguments}):", *_docstring(derivation), *body]
    return "\n".join([*lines, f"    return {returned if shaped else values}", ""])


def _named_source(function: type[OddDefect]) -> list[str]:
    """Stable source of a named function: its series near zero, its definition beyond."""
    x = sp.Symbol("x")
    definition = NumPyPrinter().doprint(function.definition(x))
    coefficients = [float(function.coefficient(k)) for k in range(TERMS + 1, 0, -1)]
    return [
        f"def {function.__name__}(x):",
        f'    """{function.definition(x)}, without cancellation."""',
        "    x = numpy.asarray(x, dtype=float)",
        "    square = x * x",
        "    coefficients = [",
        *(f"        {c!r}," for c in coefficients),
        "    ]",
        "    series = x * square * numpy.polyval(coefficients, square)",
        f"    return numpy.where(square > 1, {definition}, series)",
    ]


def _docstring(derivation: Derivation) -> list[str]:
    source = f"  Source: {derivation.reference}." if derivation.reference else ""
    return [f'    """Result of the derivation {derivation.name}.{source}"""']


def _identifier(name: str) -> str:
    plain = "".join(c if c.isalnum() else "_" for c in name).strip("_")
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def _opening(derivation: Derivation) -> str:
    source = f" ({derivation.reference})" if derivation.reference else ""
    return f"{derivation.statement}{source}."


def _because(step: Step) -> str:
    return f"{step.rule} [{step.reference}]" if step.reference else step.rule


def _align(rows: list[str]) -> str:
    size, body = tex.size(rows), " \\\\\n".join(rows)
    return f"{{{size}\n\\begin{{align*}}\n{body}\n\\end{{align*}}}}"


def _aligned(rows: list[str]) -> str:
    if len(rows) == 1:
        return rows[0].replace("&", "", 1)
    return "\\begin{aligned} " + r" \\ ".join(rows) + " \\end{aligned}"


def _indented(step: Any) -> list[str]:
    rows = tex.equation(step.before, step.after)
    return [r"&\qquad " + row.replace("&", "") for row in rows]
