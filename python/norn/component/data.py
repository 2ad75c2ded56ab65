"""Tables and models of a task: what a component's function reads and writes.

A table is a directory with data.csv (a header line, then rows) and table.json (schema, row count, SHA-256 of
data.csv). It is read and written row by row: memory does not grow with it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import operator
import os
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, Union

from norn.component.errors import DataError, TaskConfigurationError

Cell = Union[str, int, float, bool]

SAMPLES = 100
"""Rows of a table that are kept with its description, to be shown."""
FIELD_MAX = 1 << 20
DESCRIPTION_MAX = 64 << 20
MODEL_MAX = 1 << 30
_INT_RANGES = {"int32": 2**31 - 1, "int64": 2**53}
_FLOAT32_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_DTYPES = {
    "int32": "int32",
    "int64": "int64",
    "int": "int64",
    "long": "int64",
    "float32": "float32",
    "float": "float32",
    "float64": "float64",
    "double": "float64",
    "bool": "bool",
    "np_object": "np_object",
    "object": "np_object",
    "str": "np_object",
    "index": "index",
}
_KINDS = ("sample_id", "match_id", "label", "weight", "column")


def local_path(uri: str) -> str:
    """The path of a file:// URI."""
    if not uri.startswith("file://"):
        raise TaskConfigurationError(f"artifact URI '{uri[:200]}': only file:// is supported")
    path = uri[len("file://") :]
    if path.startswith("localhost/"):
        path = path[len("localhost") :]
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise TaskConfigurationError(f"artifact URI '{uri[:200]}' is no plain absolute path")
    return path


@dataclass(frozen=True)
class Field:
    """A column: its name, type (int32, int64, float32, float64, bool, str), and what it is for
    (sample_id, match_id, label, weight, column)."""

    name: str
    dtype: str = "float64"
    kind: str = "column"
    anonymous_name: Optional[str] = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise DataError(f"field {self.name}: '{self.kind}' is not one of {', '.join(_KINDS)}")
        if self.dtype not in _DTYPES:
            raise DataError(f"field {self.name}: unknown type '{self.dtype}'")
        dtype = "index" if self.kind in ("sample_id", "match_id") else _DTYPES[self.dtype]
        object.__setattr__(self, "dtype", "np_object" if dtype == "index" and self.is_feature else dtype)

    @classmethod
    def sample_id(cls, name: str) -> "Field":
        return cls(name, "index", "sample_id")

    @classmethod
    def match_id(cls, name: str) -> "Field":
        return cls(name, "index", "match_id")

    @property
    def is_number(self) -> bool:
        return self.dtype in ("int32", "int64", "float32", "float64")

    @property
    def is_feature(self) -> bool:
        return self.kind == "column"

    def parse(self, text: str) -> Cell:
        """The value of a cell; ValueError says what is wrong with it."""
        if self.dtype in ("index", "np_object"):
            return text
        if self.dtype == "bool":
            if text in ("1", "true", "True"):
                return True
            if text in ("0", "false", "False"):
                return False
            raise ValueError("not true, false, 1 or 0")
        try:
            value = float(text)
        except ValueError:
            raise ValueError("not a number" if text else "empty") from None
        return self._number(value)

    def _number(self, value: float) -> Cell:
        if not math.isfinite(value):
            raise ValueError("not a finite number")
        if self.dtype in _INT_RANGES:
            if not value.is_integer():
                raise ValueError("not a whole number")
            if abs(value) > _INT_RANGES[self.dtype] + (1 if self.dtype == "int32" and value < 0 else 0):
                raise ValueError("out of range")
            return int(value)
        if self.dtype == "float32":
            if abs(value) > _FLOAT32_MAX:
                raise ValueError("out of range")
            return float(struct.unpack("<f", struct.pack("<f", value))[0])
        return value

    def format(self, value: Any) -> Tuple[Cell, str]:
        """A value as it is kept and as it is written; ValueError says what is wrong with it."""
        if self.dtype in ("index", "np_object"):
            if not isinstance(value, str):
                if value is None or isinstance(value, (bytes, list, dict)):
                    raise ValueError("not a text")
                value = str(value)
            if "\0" in value or len(value) > FIELD_MAX:
                raise ValueError("too long, or with a NUL")
            value.encode()
            return value, value
        try:
            if isinstance(value, (str, bytes)):
                raise TypeError
            if self.dtype == "bool":
                if value not in (0, 1):
                    raise TypeError
                return bool(value), "1" if value else "0"
            if self.dtype in _INT_RANGES and not isinstance(value, float):
                kept = self._number(float(operator.index(value)))
            else:
                kept = self._number(float(value))
        except (TypeError, OverflowError):
            raise ValueError("not a number that fits" if self.is_number else "not true or false") from None
        return kept, _float32_text(kept) if self.dtype == "float32" else repr(kept)


def _float32_text(value: Cell) -> str:
    """The shortest text that reads back as the same number of 32 bits."""
    number = float(value)
    packed = struct.pack("<f", number)
    for digits in range(6, 10):
        text = f"{number:.{digits}g}"
        if abs(float(text)) <= _FLOAT32_MAX and struct.pack("<f", float(text)) == packed:
            return text
    return repr(number)


def _load_json(path: str, limit: int, what: str) -> Any:
    try:
        if os.path.getsize(path) > limit:
            raise DataError(f"{what}: {os.path.basename(path)} is larger than {limit >> 20} MiB")
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except OSError as e:
        raise DataError(f"{what} cannot be read: {e}") from e
    except (ValueError, RecursionError) as e:
        raise DataError(f"{what}: {os.path.basename(path)} is not JSON: {e}") from e


class Table:
    """An input table. Its file is read, and checked against its checksum, when it is first asked for anything."""

    def __init__(self, key: str, uri: str, type_name: str, metadata: Optional[Mapping[str, Any]] = None) -> None:
        self.key = key
        self.type_name = type_name
        self.metadata: Mapping[str, Any] = metadata or {}
        self._dir = local_path(uri)
        self._fields: Optional[List[Field]] = None
        self._schema: Dict[str, Any] = {}
        self._count = 0

    def __repr__(self) -> str:
        return f"Table({self.key!r})"

    def _what(self) -> str:
        return f"input {self.key}"

    def _load(self) -> List[Field]:
        if self._fields is not None:
            return self._fields
        info = _load_json(os.path.join(self._dir, "table.json"), DESCRIPTION_MAX, self._what())
        schema = info.get("schema") if isinstance(info, dict) else None
        count = info.get("count") if isinstance(info, dict) else None
        if not isinstance(schema, dict) or not isinstance(count, int) or count < 0:
            raise DataError(f"{self._what()}: table.json lacks a schema or a count")
        self._check_sum(str(info.get("sha256", "")))
        self._schema, self._count = schema, count
        self._fields = self._frame_fields() if schema.get("type") == "fate.arch.dataframe" else self._raw_fields()
        return self._fields

    def _check_sum(self, want: str) -> None:
        digest = hashlib.sha256()
        try:
            with open(os.path.join(self._dir, "data.csv"), "rb") as f:
                for piece in iter(lambda: f.read(1 << 20), b""):
                    digest.update(piece)
        except OSError as e:
            raise DataError(f"{self._what()} cannot be read: {e}") from e
        if digest.hexdigest() != want:
            raise DataError(f"{self._what()} does not match its checksum: the table was changed or damaged")

    def _frame_fields(self) -> List[Field]:
        meta = self._schema.get("schema_meta")
        described = meta.get("fields") if isinstance(meta, dict) else None
        if not isinstance(described, list) or not described:
            raise DataError(f"{self._what()}: its schema has no fields")
        fields = []
        for d in described:
            if not isinstance(d, dict) or not isinstance(d.get("name"), str):
                raise DataError(f"{self._what()}: a field of its schema has no name")
            fields.append(Field(d["name"], str(d.get("dtype")), str(d.get("property")), d.get("anonymous_name")))
        return fields

    def _raw_fields(self) -> List[Field]:
        with self._open_csv() as f:
            header = next(csv.reader(f, strict=True), None)
        if not header:
            raise DataError(f"{self._what()}: the table has no header line")
        sample = self._schema.get("sample_id_name")
        label = self._schema.get("label_name")
        return [Field(n, "str", "sample_id" if n == sample else "label" if n == label else "column") for n in header]

    def _open_csv(self) -> IO[str]:
        if csv.field_size_limit() < FIELD_MAX:
            csv.field_size_limit(FIELD_MAX)
        return open(os.path.join(self._dir, "data.csv"), encoding="utf-8", newline="")

    @property
    def fields(self) -> List[Field]:
        """The columns, in the order of the cells of a row. A raw table has texts only."""
        return list(self._load())

    @property
    def features(self) -> List[Field]:
        """The columns that are no ids, label or weight."""
        return [f for f in self._load() if f.is_feature]

    @property
    def schema(self) -> Dict[str, Any]:
        self._load()
        return self._schema

    @property
    def source_task(self) -> str:
        """The name of the task that made the table; "" when none did."""
        source = self.metadata.get("source")
        return str(source.get("task_name") or "") if isinstance(source, dict) else ""

    def __len__(self) -> int:
        self._load()
        return self._count

    def rows(self) -> Iterator[List[Cell]]:
        """The rows, cells in the order of fields, with the types that these name."""
        fields = self._load()
        n = 0
        with self._open_csv() as f:
            reader = csv.reader(f, strict=True)
            try:
                next(reader, None)
                for row in reader:
                    if len(row) != len(fields):
                        raise DataError(
                            f"{self._what()}, line {reader.line_num}: {len(row)} fields instead of {len(fields)}"
                        )
                    n += 1
                    yield [self._cell(field, text, reader.line_num) for field, text in zip(fields, row)]
            except (csv.Error, UnicodeDecodeError) as e:
                raise DataError(f"{self._what()}, line {reader.line_num}: {e}") from e
        if n != self._count:
            raise DataError(f"{self._what()}: the table has {n} rows, not {self._count} as it says")

    def _cell(self, field: Field, text: str, line: int) -> Cell:
        try:
            return field.parse(text)
        except ValueError as e:
            raise DataError(f"{self._what()}, line {line}, column {field.name}: '{text[:60]}' is {e}") from None

    def __iter__(self) -> Iterator[Dict[str, Cell]]:
        """The rows as dicts by column name; a match id named like the sample id is left out."""
        fields = self._load()
        sample = {f.name for f in fields if f.kind == "sample_id"}
        used = [i for i, f in enumerate(fields) if f.kind != "match_id" or f.name not in sample]
        for row in self.rows():
            yield {fields[i].name: row[i] for i in used}

    def to_pandas(self) -> Any:
        """A DataFrame with the sample id as index; needs pandas."""
        from norn.frames import pandas

        pd = pandas()
        frame = pd.DataFrame(iter(self))
        ids = [f.name for f in self._load() if f.kind == "sample_id"]
        return frame.set_index(ids[0]) if ids and ids[0] in frame.columns else frame


class _Sink:
    """Text into a file, with its checksum."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, text: str) -> int:
        data = text.encode()
        self.digest.update(data)
        self.size += len(data)
        self.file.write(data)
        return len(text)


class TableWriter:
    """An output table. Write it once: open() for row by row, or one of the write methods."""

    def __init__(self, key: str, uri: str, type_name: str = "dataframe") -> None:
        self.key = key
        self.uri = uri
        self.type_name = type_name
        self._dir = local_path(uri)
        self._name: Optional[Tuple[str, str]] = None
        self.result: Optional[Dict[str, Any]] = None
        """The metadata of the finished table; None until it is finished."""

    def __repr__(self) -> str:
        return f"TableWriter({self.key!r})"

    def register(self, namespace: str, name: str) -> None:
        """The name under which the site shall know the table, besides being an output of the task."""
        for what, text in (("namespace", namespace), ("name", name)):
            if not text or len(text) > 200:
                raise DataError(f"output {self.key}: {what} must have 1 to 200 characters")
        self._name = (namespace, name)

    def open(self, fields: Sequence[Field], site_name: Optional[str] = None) -> "Rows":
        """For a with statement: rows are added to what it gives, and the table is complete after it.

        fields must have one sample_id; without a match_id that is the sample id.
        site_name: of the anonymous names, as the table has it that this one is made of.
        """
        if self.result is not None:
            raise DataError(f"output {self.key} was written already")
        return Rows(self, self._dir, fields, site_name)

    def write(self, fields: Sequence[Field], rows: Iterable[Sequence[Any]], site_name: Optional[str] = None) -> int:
        """Writes all rows, cells in the order of fields; how many there were."""
        with self.open(fields, site_name) as out:
            for row in rows:
                out.add(row)
        return out.count

    def write_like(self, table: Table, rows: Iterable[Sequence[Any]]) -> int:
        """Writes rows with the columns of an input table."""
        meta = table.schema.get("schema_meta")
        summary = meta.get("anonymous_summary") if isinstance(meta, dict) else None
        site = summary.get("site_name") if isinstance(summary, dict) else None
        return self.write(table.fields, rows, site)

    def write_pandas(self, frame: Any) -> int:
        """Writes a DataFrame; its index is the sample id."""
        kinds = {"i": "int64", "u": "int64", "f": "float64", "b": "bool"}
        fields = [Field.sample_id(str(frame.index.name or "id"))]
        fields += [Field(str(n), kinds.get(frame[n].dtype.kind, "str")) for n in frame.columns]
        return self.write(fields, frame.itertuples(index=True, name=None))

    def finish(self, schema: Dict[str, Any], count: int, samples: List[List[Cell]]) -> None:
        """Called by Rows when the table is complete."""
        self.result = {
            "metadata": {"schema": schema},
            "data_overview": {"count": count, "samples": samples},
        }
        if self._name is not None:
            self.result["namespace"], self.result["name"] = self._name


class Rows:
    """A table being written. Leaving the with statement by an exception leaves no table behind."""

    def __init__(self, writer: TableWriter, directory: str, fields: Sequence[Field], site_name: Optional[str]) -> None:
        self._writer = writer
        self._dir = directory
        self._site_name = site_name
        self._given = list(fields)
        self._fields, self._order = self._arrange()
        self._samples: List[List[Cell]] = []
        self.count = 0
        self._file: Optional[IO[bytes]] = None

    def _arrange(self) -> Tuple[List[Field], List[int]]:
        """The columns in the order of the file, and where each stands in a row that is added."""
        order: List[int] = []
        for kind in _KINDS:
            found = [i for i, f in enumerate(self._given) if f.kind == kind]
            if kind == "sample_id" and len(found) != 1:
                raise DataError(f"output {self._writer.key}: a table has one sample_id, not {len(found)}")
            if kind == "match_id" and not found:
                found = [order[0]]
            if kind != "column" and len(found) > 1:
                raise DataError(f"output {self._writer.key}: a table has at most one {kind}, not {len(found)}")
            order += found
        fields = [self._given[i] for i in order]
        fields[1] = Field.match_id(fields[1].name)
        names = [f.name for f in fields[:1] + fields[2:]]
        for n in names:
            if not n or "\0" in n or names.count(n) > 1:
                raise DataError(f"output {self._writer.key}: column name {n!r} is empty or stands twice")
        return fields, order

    def __enter__(self) -> "Rows":
        try:
            os.makedirs(self._dir, mode=0o700, exist_ok=True)
            try:  # a table left by an earlier try must not look complete while it is overwritten
                os.unlink(os.path.join(self._dir, "table.json"))
            except FileNotFoundError:
                pass
            self._file = open(os.path.join(self._dir, "data.csv"), "wb")
        except OSError as e:
            raise DataError(f"output {self._writer.key} cannot be written: {e}") from e
        self._sink = _Sink(self._file)
        self._csv = csv.writer(self._sink, lineterminator="\n")
        self._csv.writerow([f.name for f in self._fields])
        return self

    def add(self, row: Sequence[Any]) -> None:
        """A row: cells in the order of the fields that open() was given."""
        if self._file is None:
            raise DataError(f"output {self._writer.key}: rows are added in a with statement")
        if len(row) != len(self._given):
            raise DataError(
                f"output {self._writer.key}, row {self.count + 1}: {len(row)} cells instead of {len(self._given)}"
            )
        kept, texts = [], []
        for field, at in zip(self._fields, self._order):
            try:
                value, text = field.format(row[at])
            except ValueError as e:
                raise DataError(
                    f"output {self._writer.key}, row {self.count + 1}, column {field.name}: {row[at]!r:.60} is {e}"
                ) from None
            kept.append(value)
            texts.append(text)
        if not texts[0]:
            raise DataError(f"output {self._writer.key}, row {self.count + 1}: the sample id is empty")
        self._csv.writerow(texts)
        if self.count < SAMPLES:
            self._samples.append(kept)
        self.count += 1

    def _schema(self) -> Dict[str, Any]:
        prefix = self._site_name or "AnonymousRole_AnonymousPartyId"
        described = []
        n = 0
        for f in self._fields:
            d: Dict[str, Any] = {
                "name": f.name,
                "property": f.kind,
                "dtype": f.dtype,
                "should_compress": f.dtype != "index",
            }
            if f.kind in ("label", "weight"):
                d["anonymous_name"] = f.anonymous_name or f"{prefix}_{'y' if f.kind == 'label' else 'weight'}"
            elif f.is_feature:
                d["anonymous_name"] = f.anonymous_name or f"{prefix}_x{n}"
                n += 1
            described.append(d)
        return {
            "type": "fate.arch.dataframe",
            "schema_meta": {
                "fields": described,
                "anonymous_summary": {"column_len": n, "site_name": self._site_name},
            },
            "partition_order_mappings": {},
        }

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        file.close()
        if kind is not None:
            os.unlink(os.path.join(self._dir, "data.csv"))
            return
        schema = self._schema()
        info = {
            "schema": schema,
            "count": self.count,
            "bytes": self._sink.size,
            "sha256": self._sink.digest.hexdigest(),
        }
        with open(os.path.join(self._dir, "table.json"), "w", encoding="utf-8") as f:
            json.dump(info, f)
        self._writer.finish(schema, self.count, self._samples)


class ModelReader:
    """An input model: a JSON value."""

    def __init__(self, key: str, uri: str, metadata: Optional[Mapping[str, Any]] = None) -> None:
        self.key = key
        self.metadata: Mapping[str, Any] = metadata or {}
        self._path = local_path(uri)

    def __repr__(self) -> str:
        return f"ModelReader({self.key!r})"

    def read(self) -> Any:
        return _load_json(self._path, MODEL_MAX, f"input {self.key}")


class ModelWriter:
    """An output model: a JSON value, written once."""

    def __init__(self, key: str, uri: str) -> None:
        self.key = key
        self.uri = uri
        self._path = local_path(uri)
        self.written = False

    def __repr__(self) -> str:
        return f"ModelWriter({self.key!r})"

    def write(self, model: Any) -> None:
        if self.written:
            raise DataError(f"output {self.key} was written already")
        try:
            text = json.dumps(model, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as e:
            raise DataError(f"output {self.key}: the model is not JSON: {e}") from e
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with open(self._path, "w", encoding="utf-8") as f:
                f.write(text)
        except OSError as e:
            raise DataError(f"output {self.key} cannot be written: {e}") from e
        self.written = True
