"""What the record of a run must hold, for the tables that are made from it."""

from __future__ import annotations

from typing import Any

LARGEST = 1e18  # numbers beyond it are no counts, seconds, or bytes


def number(value: Any) -> bool:
    """A number of a reasonable size; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < LARGEST  # which NaN and the infinite are not


def whole(value: Any) -> bool:
    """A whole number."""
    return number(value) and isinstance(value, int)


def text(value: Any) -> bool:
    """A line of text."""
    return isinstance(value, str)


def truth(value: Any) -> bool:
    """True or False."""
    return isinstance(value, bool)


def option(value: Any) -> bool:
    """What a network may be built with: plain, or a list of such."""
    values = value if isinstance(value, list) else [value]
    return all(x is None or truth(x) or number(x) or text(x) for x in values)


# Keys with "?" may be missing, or None. A list holds one thing or more, of one kind.
RECORD: dict[str, Any] = {
    "name": text,
    "seed": whole,
    "machine": {"device": text, "threads": whole},
    "data": {"name": text, "real": truth, "shape": [whole]},
    "model": {
        "name": text,
        "options": {"*": option},
        "parameters": whole,
        "multiply_adds": whole,
    },
    "history": {"rows": [{"seconds": number, "images_per_second": number}]},
    "images_per_second": number,
    "seconds": number,
    "peak_memory_bytes?": whole,
    "test_accuracy?": number,
    "processes?": whole,
    "start?": {"weights": text, "frozen": truth},
}


def misfit(value: Any, rule: Any, where: str = "") -> str:
    """Where a value breaks a rule, as `history.rows[3].seconds`; "" where nowhere.

    A rule is a function that judges, a list with the rule of every entry, or a dict
    with the rule of each key, or of all (`*`).
    """
    if callable(rule):
        return "" if rule(value) else where
    if isinstance(rule, list):
        if not isinstance(value, list) or not value:
            return where
        found = (misfit(x, rule[0], f"{where}[{i}]") for i, x in enumerate(value))
        return next(filter(None, found), "")
    if not isinstance(value, dict):
        return where
    if "*" in rule:  # whatever the keys are: "?" at the end means nothing there
        found = (misfit(x, rule["*"], _place(where, k)) for k, x in value.items())
    else:
        found = (_entry(value, key, rule[key], where) for key in rule)
    return next(filter(None, found), "")


def _entry(value: dict[str, Any], key: str, rule: Any, where: str) -> str:
    name = key.removesuffix("?")
    if name != key and value.get(name) is None:
        return ""
    place = _place(where, name)
    return misfit(value[name], rule, place) if name in value else place


def _place(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
