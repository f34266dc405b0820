"""Keys of several frames brought to one kind, so that the same key is found in each, and back to what the caller has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting.schema import check_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEANS: Final = {
    "sku": "sku", "location_id": "location_id", "from_location_id": "location_id", "to_location_id": "location_id",
    "ship_to_region": "ship_to_region",
}  # fmt: skip
_TEXT: Final = "text"
_WHOLE: Final = "whole numbers"


def check_given(**frames: object) -> None:
    """Every frame is a Polars one with its rows at hand.

    Raises:
        ValueError: One is not, or is None.
    """
    for name, frame in frames.items():
        if frame is None:
            raise ValueError(f"{name}: is None and has to be a Polars DataFrame; pass one, without rows where there is nothing.")
    check_frames(**frames)


def alike(**frames: pl.DataFrame) -> list[pl.DataFrame]:
    """The frames, every sku, location and region in all of them as text, or in all of them as 64-bit whole numbers.

    A column without a value is of any kind.

    Raises:
        ValueError: A frame is no Polars one, a key is no text and no whole number of 64 bits, or it is of one kind in one frame
            and of another in the next: 1 and "1" never meet.
    """
    check_given(**frames)
    kinds: dict[str, tuple[str, str]] = {}
    for name, frame in frames.items():
        for column in _keys(frame):
            if frame[column].null_count() == frame.height:
                continue
            _check_kind(name, frame[column])
            here, (before, kind) = _kind(frame.schema[column]), kinds.setdefault(_MEANS[column], (name, _kind(frame.schema[column])))
            if here != kind:
                raise ValueError(
                    f"{name}.{column}: holds {here}, and {_MEANS[column]} of {before} is {kind}; cast one to the kind of the other."
                )
    types = {meant: pl.Int64 if kind == _WHOLE else pl.String for meant, (_, kind) in kinds.items()}
    return [frame.with_columns(pl.col(one).cast(types.get(_MEANS[one], pl.String)) for one in _keys(frame)) for frame in frames.values()]


def as_given(result: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """The result with its keys of the frame's types; a key that the type cannot hold leaves its column as it is."""
    given: dict[str, pl.DataType] = {}
    for column in _keys(result):
        kind = frame.schema.get(column) or frame.schema.get(_MEANS[column], pl.Null())
        if kind != pl.Null() and result[column].cast(kind, strict=False).null_count() == result[column].null_count():
            given[column] = kind
    return result.cast(given) if given else result  # type: ignore[arg-type] # polars is invariant here


def _keys(frame: pl.DataFrame) -> Sequence[str]:
    return [column for column in frame.columns if column in _MEANS]


def _check_kind(name: str, key: pl.Series) -> None:
    if _kind(key.dtype) not in (_TEXT, _WHOLE):
        raise ValueError(f"{name}.{key.name}: holds {key.dtype}, and keys are texts or whole numbers; cast it to one of them.")
    if key.dtype in (pl.UInt64, pl.Int128, pl.UInt128) and key.cast(pl.Int64, strict=False).null_count() > key.null_count():
        raise ValueError(f"{name}.{key.name}: holds numbers of more than 64 bits with sign, such as {key.max()!r}; cast it to text.")


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return _WHOLE
    return _TEXT if dtype in (pl.String, pl.Categorical, pl.Enum) else str(dtype)
