"""Row types: named tuples with the columns of a statement, in its order, and with their Python types.

A field that is itself a named tuple is a *part*: it stands for as many columns as it has fields. A part annotated
`| None` comes from an outer join, and is None where the first of its columns, a key or a name, is NULL.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from sqlalchemy import JSON, Column, ColumnElement

RowT = TypeVar("RowT", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class _Field:
    """One column as a row type declares it."""

    name: str
    kind: type
    is_optional: bool


def check(row: type[RowT], columns: Sequence[ColumnElement[Any]], not_null: frozenset[str] = frozenset()) -> None:
    """Raise `TypeError`, naming both, where the columns of a statement are not the fields of its row type.

    `not_null` names nullable columns that the statement keeps from being NULL.
    """
    fields = list(_fields(row))
    if [field.name for field in fields] != [column.name for column in columns]:
        raise TypeError(
            f"{row.__name__} has the fields {', '.join(field.name for field in fields)}, and its statement the columns "
            f"{', '.join(column.name for column in columns)}"
        )
    for field, column in zip(fields, columns, strict=True):
        if (kind := _python_type(column)) not in {None, field.kind}:
            raise TypeError(f"{row.__name__}.{field.name} is {field.kind.__name__}, and its column {kind.__name__}")
        if _is_nullable(column) and field.name not in not_null and not field.is_optional:
            raise TypeError(f"{row.__name__}.{field.name} is never None, and its column may be NULL")


def maker(row: type[RowT]) -> Callable[[Sequence[Any]], RowT]:
    """A function that makes a row from the values of its columns."""
    make: Callable[[Sequence[Any]], RowT] = cast("Any", row)._make
    positions, start = list[tuple[int | slice, Callable[[Sequence[Any]], Any] | None]](), 0
    for _, kind, is_optional in _annotated(row):
        if _is_part(kind):
            end = start + len(list(_fields(kind)))
            positions.append((slice(start, end), _optional(maker(kind)) if is_optional else maker(kind)))
            start = end
        else:
            positions.append((start, None))
            start += 1
    if all(part is None for _, part in positions):
        return make
    return lambda values: make(
        [values[position] if part is None else part(values[position]) for position, part in positions]
    )


def _optional(make: Callable[[Sequence[Any]], Any]) -> Callable[[Sequence[Any]], Any]:
    return lambda values: None if values[0] is None else make(values)


def _fields(row: type) -> Iterator[_Field]:
    """The fields of a row type, and of its parts in their places."""
    for name, kind, is_optional in _annotated(row):
        if _is_part(kind):
            yield from _fields(kind)
        else:
            yield _Field(name, get_origin(kind) or kind, is_optional)


def _annotated(row: type) -> Iterator[tuple[str, Any, bool]]:
    """Name, type and whether it may be None, of each field."""
    for name, annotation in get_type_hints(row).items():
        kinds = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
        (kind,) = (kind for kind in kinds if kind is not NoneType)
        yield name, kind, NoneType in kinds


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple)


def _python_type(column: ColumnElement[Any]) -> type | None:
    """The type of its values; None for JSON, whose values have many."""
    return None if isinstance(column.type, JSON) else column.type.python_type


def _is_nullable(column: ColumnElement[Any]) -> bool:
    """Whether a column, under whatever label, may be NULL in its own table; this is not known of expressions."""
    base = next(iter(column.base_columns))
    return isinstance(base, Column) and bool(base.nullable)
