"""From dataclasses to what JSON can hold."""

from collections.abc import Collection
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def keys_and_values(instance: "DataclassInstance", *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields in their order, save those that hold their default, which is Home Assistant's own."""
    held = ((field, getattr(instance, field.name)) for field in fields(instance) if field.name not in without)
    return {field.name: _plain(value) for field, value in held if value != field.default}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return keys_and_values(value)
    return value
