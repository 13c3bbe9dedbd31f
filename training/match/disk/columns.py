"""Tables: a dictionary of arrays of one length, one a column.

On one machine a table is a ``.safetensors`` file whose columns are mapped into memory, so that a million features cost
what is looked at of them; for many machines it is Parquet, in any place that fsspec opens. Texts are object arrays.
"""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import MatchError
from ..optional import optional
from .places import Place

Columns = dict[str, np.ndarray]
_TEXT, _ENDS = ".text", ".ends"  # two arrays that hold a column of texts in a safetensors file
_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}


@dataclass(frozen=True)
class Tables:
    """The tables of one stage, by name. A table that is there is whole.

    place: the folder. parquet: in which of the two forms.
    """

    place: Place
    parquet: bool = False

    @property
    def suffix(self) -> str:
        return ".parquet" if self.parquet else ".safetensors"

    def names(self) -> set[str]:
        return {name.removesuffix(self.suffix) for name in self.place.names() if name.endswith(self.suffix)}

    def write(self, name: str, columns: Columns) -> None:
        length_of(columns)
        self.place.write(name + self.suffix, (_to_parquet if self.parquet else _to_safetensors)(columns))

    def read(self, name: str, wanted: Iterable[str] | None = None) -> Columns:
        """The columns, all or those wanted; mapped into memory where the file allows it, and not to be written to.

        Raises:
            MatchError: the table is not there or damaged.
        """
        file = name + self.suffix
        try:
            if self.parquet:
                with self.place.open(file) as opened:  # of a few columns, a store sends these alone
                    return _from_parquet(opened, wanted)
            if self.place.local is None:
                raise MatchError("tables that are mapped into memory lie on this machine only")
            return _map_safetensors(self.place.local / file, wanted)
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise MatchError(
                f"{self.place.path(file)} cannot be read ({error}). Delete it, and the same command makes it again."
            ) from error


def length_of(columns: Columns) -> int:
    """Rows of a table.

    Raises:
        ValueError: the columns have different lengths.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different lengths: {lengths}")
    return next(iter(lengths.values()), 0)


def take(columns: Columns, rows: np.ndarray | slice) -> Columns:
    """Some rows, by index or mask."""
    return {name: values[rows] for name, values in columns.items()}


def join(parts: Sequence[Columns]) -> Columns:
    """Tables with the same columns, one after the other. One alone is handed on as it is."""
    if len(parts) == 1:
        return parts[0]
    filled = [part for part in parts if length_of(part)] or list(parts[:1])
    return {name: np.concatenate([part[name] for part in filled]) for name in (filled[0] if filled else ())}


def texts(values: Iterable[str]) -> np.ndarray:
    """A column of texts."""
    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    column[:] = listed
    return column


def _to_safetensors(columns: Columns) -> bytes:
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        if values.dtype == object:
            encoded = [str(value).encode("utf-8", "surrogateescape") for value in values]
            arrays[name + _TEXT] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            arrays[name + _ENDS] = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        else:
            arrays[name] = np.ascontiguousarray(values)
    return save(arrays)


def _map_safetensors(path: Path, wanted: Iterable[str] | None) -> Columns:
    """The file's arrays as views of the mapped file, texts decoded.

    The layout (eight bytes of length, a JSON header, the data) is that of the safetensors format.
    """
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: Mapping = json.loads(file.read(length))
    base = 8 + length
    if os.path.getsize(path) < base + max((entry["data_offsets"][1] for entry in header.values()), default=0):
        raise ValueError("the file is cut off")

    def view(name: str) -> np.ndarray:
        start, end = header[name]["data_offsets"]
        shape, dtype = tuple(header[name]["shape"]), np.dtype(_DTYPES[header[name]["dtype"]])
        if start == end:  # nothing can be mapped
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", base + start, shape)

    names = [name.removesuffix(_ENDS) for name in header if not name.endswith(_TEXT) and name != "__metadata__"]
    chosen = sorted(names) if wanted is None else list(wanted)
    return {name: _texts(view, name) if name + _ENDS in header else view(name) for name in chosen}


def _texts(view, name: str) -> np.ndarray:
    data, ends = view(name + _TEXT).tobytes(), view(name + _ENDS).tolist()
    return texts(data[start:end].decode("utf-8", "surrogateescape") for start, end in pairwise([0, *ends]))


def _to_parquet(columns: Columns) -> bytes:
    pyarrow = optional("pyarrow", "Writing Parquet")
    optional("pyarrow.parquet", "Writing Parquet")
    arrays = {}
    for name, values in columns.items():
        if values.dtype == object:
            arrays[name] = pyarrow.array([_plain(value) for value in values], pyarrow.string())
        elif values.ndim == 1:
            arrays[name] = pyarrow.array(np.ascontiguousarray(values))
        else:
            flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
            arrays[name] = pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    file = io.BytesIO()
    # Features do not shrink by compression and hashes have no two alike: both only cost time.
    pyarrow.parquet.write_table(pyarrow.table(arrays), file, compression="lz4", use_dictionary=False)
    return file.getvalue()


def _plain(value: object) -> str:
    """Parquet's texts are UTF-8: a file name that is not is kept by escapes."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def _from_parquet(file: IO[bytes], wanted: Iterable[str] | None) -> Columns:
    pyarrow = optional("pyarrow", "Reading Parquet")
    optional("pyarrow.parquet", "Reading Parquet")
    table = pyarrow.parquet.read_table(file, columns=None if wanted is None else list(wanted), use_threads=False)
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if isinstance(column, pyarrow.ChunkedArray):  # no rows at all
            column = pyarrow.concat_arrays(column.chunks) if column.num_chunks else pyarrow.array([], column.type)
        if pyarrow.types.is_fixed_size_list(column.type):
            columns[name] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        elif pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
            columns[name] = texts(column.to_pylist())
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    return columns
