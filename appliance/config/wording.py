"""What validation found, in plain words: where, what, and what would be right."""

from __future__ import annotations

from difflib import get_close_matches
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from appliance.config.kinds import Hint
from appliance.config.names import dotted
from appliance.config.outline import Found, find, value_paths
from appliance.config.problem import BadSettingError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from appliance.config.draft import Draft

SHOWN = 60


def explain(error: ValidationError, draft: Draft) -> Iterator[Problem]:
    """Yield one problem for each setting that validation refused."""
    told = {dotted(path) for path in draft.refused}
    for item in error.errors(include_url=False):
        problem = _unknown(item, draft) if item["type"] == "extra_forbidden" else _refused(item, draft)
        if problem.setting not in told:
            told.add(problem.setting)
            yield problem


def _unknown(item: ErrorDetails, draft: Draft) -> Problem:
    path = item["loc"]
    group, name = find(path[:-1]), str(path[-1])
    siblings = list(group.section.model_fields) if group.section else []
    near = get_close_matches(name.lower(), siblings, n=1, cutoff=0.6)
    last = name.rpartition(".")[2].lower()
    elsewhere = [one for one in value_paths() if one[-1] == last and len(one) == 2]
    flat = [one for one in elsewhere if dotted(one) == name.lower()]
    if near and not flat:
        hint = f'did you mean "{near[0]}"?'
    elif elsewhere:
        above = " or ".join(f'"{one[0]}:"' for one in flat or elsewhere)
        hint = f'"{last}" belongs below {above}, indented'
    else:
        hint = "known here are " + ", ".join(siblings)
    return Problem(draft.origin(path), dotted(path), "is no setting of Porchlight", hint)


def _refused(item: ErrorDetails, draft: Draft) -> Problem:
    found = find(item["loc"])
    path = found.path
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, BadSettingError):
        if cause.at is not None:
            path = (*path[:-1], *cause.at)
        return Problem(draft.origin(path), dotted(path), cause.what, cause.hint)
    return Problem(draft.origin(path), dotted(path), _what(item, found), _hint(item, found))


def _what(item: ErrorDetails, found: Found) -> str:
    value = item["input"]
    match item["type"]:
        case "missing":
            return "is missing"
        # "string_..." is said of texts, the other of secrets, and of lists.
        case "string_too_short" | "too_short" if isinstance(value, str):
            return "is too short"
        case "string_too_long" | "too_long" if isinstance(value, str):
            return "is too long"
        case "string_unicode":
            return "has a character that cannot be used"
    match value:
        case None:
            return "is empty"
        case list():
            return "is a list" if found.items is None else f"is a list of {len(value)}"
        case dict():
            return "is a group of settings"
    if found.is_private:
        return "is not text"
    if isinstance(value, str):
        # What has an @ may be a URL with a password in it.
        fits = len(value) <= SHOWN and "@" not in value
        return f'is the text "{value}"' if fits else "is a text that cannot be used"
    return f"is {str(value).lower()}"


def _hint(item: ErrorDetails, found: Found) -> str:
    if found.section is not None:
        return f'write "name: value" lines below it, indented; known are {", ".join(found.section.model_fields)}'
    if found.field is None:
        return "leave it out"
    right = _right(found.field.annotation, found.field.metadata)
    value = item["input"]
    if item["type"] == "missing":
        return f'add "{found.path[-1]}: ...", {right}'
    if value is None:
        return f"write {right}, or leave the line out"
    if found.is_text and isinstance(value, bool | int | float):
        return f"put it in quotes; it must be {right}"
    return f"write {right}"


def _right(kind: Any, metadata: Iterable[Any] = ()) -> str:
    """Say what a value of this type may be, within its bounds."""
    marks = [mark for one in metadata for mark in (one.metadata if isinstance(one, FieldInfo) else (one,))]
    hint = next((mark.text for mark in marks if isinstance(mark, Hint)), None)
    if hint is not None:
        return str(hint)
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return _right(inner, [*more, *marks])
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_right(one, marks) for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    low = next(mark.ge for mark in marks if hasattr(mark, "ge"))
    high = next(mark.le for mark in marks if hasattr(mark, "le"))
    return f"a {'whole number' if kind is int else 'number'} from {low} to {high}"
