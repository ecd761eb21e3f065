"""LaTeX as MathML that browsers show as LaTeX would."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

ALPHABET = re.compile(r"\\(mathbf|mathbb|mathcal|mathrm|mathsf|mathfrak)\s+([A-Za-z0-9])")
LARGE = re.compile(r"\\[bB]igg?([lr])\b")  # browsers do not enlarge these; they stretch others
BELOW = {"lim", "max", "min", "sup", "inf", "argmin", "argmax"}
SUMS = set("∑∏⋃⋂⨁")
UNDER = {"msub": "munder", "msubsup": "munderover"}
FUNCTIONS = {"log", "ln", "exp", "sin", "cos", "tan", "cot", "arcsin", "arccos", "arctan", "det"}
FUNCTIONS |= {"sinh", "cosh", "tanh", "dim", "ker"}
BOLD_ITALIC = (("a", "z", 0x1D482), ("A", "Z", 0x1D468), ("α", "ω", 0x1D736))


def mathml(latex: str) -> str:
    """A ``<math>`` element in display style, without namespace, the LaTeX as its alternative text.

    Raises
    ------
    Exception
        Of latex2mathml or the XML parser: the formula cannot be converted.
    """
    source = ALPHABET.sub(r"\\\1{\2}", latex)
    source = source.replace("{aligned}", "{align*}")
    try:
        root = _converted(LARGE.sub(_stretching, source))
    except Exception:  # large parentheses that are not in pairs
        root = _converted(source)
    _improve(root)
    root.attrib = {"display": "block", "alttext": latex, "title": latex}
    return ElementTree.tostring(root, encoding="unicode")


def _converted(latex: str) -> ElementTree.Element:
    from latex2mathml.converter import convert

    text = re.sub(r' xmlns="[^"]*"', "", convert(latex, display="block"))
    root = ElementTree.fromstring(text)
    for element in root.iter():
        if re.match(r"\\\w", element.text or ""):
            raise ValueError(f"formula: unknown {element.text}")
    return root


def _stretching(match: re.Match[str]) -> str:
    return {"l": r"\left", "r": r"\right"}[match[1]]


def _improve(element: ElementTree.Element) -> None:
    """Limits below their operators, a space after functions, bold italics as characters."""
    children: list[Any] = list(element)
    for i, child in enumerate(children):
        _improve(child)
        if child.tag in UNDER and child[0].tag == "mo" and child[0].text in BELOW | SUMS:
            child.tag = UNDER[child.tag]
        if child.tag == "mo" and child.text == "~":
            child.text = "∼"  # a relation, with its spaces
        if child.get("mathvariant") == "bold-italic" and len(child.text or "") == 1:
            child.text, child.attrib = _bold_italic(child.text), {}
        if element.tag in ("mrow", "mtd", "math") and i + 1 < len(children):
            beside = children[i + 1].tag in ("mi", "mn", "mfrac", "msub", "msup", "msubsup")
            if beside and _name(child) in FUNCTIONS | BELOW:
                space = ElementTree.Element("mspace", width="0.1667em")
                element.insert(list(element).index(child) + 1, space)


def _name(element: ElementTree.Element) -> str:
    """Of a function, which may carry a power or a limit."""
    scripted = element.tag in ("msup", "msub", "munder") and len(element)
    return (element[0] if scripted else element).text or ""


def _bold_italic(letter: str) -> str:
    for first, last, start in BOLD_ITALIC:
        if first <= letter <= last:
            return chr(start + ord(letter) - ord(first))
    return letter
