"""A derivation as LaTeX, Markdown, or mathematics in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from symbolic import tex

PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[a4paper, margin=25mm]{geometry}
\usepackage{amsmath, amssymb}
\allowdisplaybreaks[1]
\renewcommand{\arraystretch}{1.4}
\setlength{\emergencystretch}{4em}
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt plus 2pt}
\begin{document}
"""


class Equality(Protocol):
    """An equality and why it holds."""

    @property
    def name(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def before(self) -> Any: ...
    @property
    def after(self) -> Any: ...


class Chain(Protocol):
    """A chain of them, with a verdict for each by its name."""

    @property
    def name(self) -> str: ...
    @property
    def statement(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def steps(self) -> Sequence[Equality]: ...
    @property
    def verdicts(self) -> Mapping[str, str]: ...
    @property
    def result(self) -> Any: ...


def latex(derivation: Chain) -> str:
    """Statement, steps with their verdicts, and result, for a text that loads amsmath."""
    parts = [rf"\section*{{{tex.text(derivation.name)}}}", tex.text(_opening(derivation))]
    for number, step in enumerate(derivation.steps, 1):
        heading = rf"\textbf{{{number}. {tex.text(step.name)}.}} {tex.text(_because(step))}"
        verdict = rf"\hspace*{{\fill}}\mbox{{\textit{{{derivation.verdicts[step.name]}}}}}"
        parts.append(f"{heading} {verdict}\n{_align(tex.equation(step.before, step.after))}")
    parts.append(f"\\textbf{{Result.}}\n{_align(tex.result(derivation.result))}")
    return "\n\n".join(parts) + "\n"


def latex_document(derivation: Chain) -> str:
    """A document that pdflatex compiles."""
    return f"{PREAMBLE}{latex(derivation)}\\end{{document}}\n"


def notebook(derivation: Chain) -> str:
    """The chain as one formula, as notebooks show them."""
    rows = []
    for number, step in enumerate(derivation.steps, 1):
        words = f"{number}. {step.name}: {_because(step)} [{derivation.verdicts[step.name]}]"
        rows += [rf"&\text{{{tex.text(words)}}}", *_indented(step)]
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def markdown(derivation: Chain) -> str:
    """Statement, steps as a numbered list with displayed formulas, and result."""
    lines = [f"# {derivation.name}", "", _opening(derivation), ""]
    for number, step in enumerate(derivation.steps, 1):
        verdict = derivation.verdicts[step.name]
        lines += [f"{number}. **{step.name}** ({_because(step)}) — *{verdict}*", ""]
        lines += [f"   $$ {_aligned(tex.equation(step.before, step.after))} $$", ""]
    lines += ["**Result**", "", f"$$ {_aligned(tex.result(derivation.result))} $$", ""]
    return "\n".join(lines)


def _opening(derivation: Chain) -> str:
    source = f" ({derivation.reference})" if derivation.reference else ""
    return f"{derivation.statement}{source}."


def _because(step: Equality) -> str:
    return f"{step.rule} [{step.reference}]" if step.reference else step.rule


def _align(rows: list[tex.Row]) -> str:
    size, body = tex.size(rows), " \\\\\n".join(map(" & ".join, rows))
    return f"{{{size}\n\\begin{{align*}}\n{body}\n\\end{{align*}}}}"


def _aligned(rows: list[tex.Row]) -> str:
    if len(rows) == 1:
        return " ".join(rows[0]).strip()
    body = r" \\ ".join(map(" & ".join, rows))
    return rf"\begin{{aligned}} {body} \end{{aligned}}"


def _indented(step: Equality) -> list[str]:
    rows = tex.equation(step.before, step.after)
    return [rf"&\qquad {left} {right}" for left, right in rows]
