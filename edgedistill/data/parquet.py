"""Reads image parquet as the Hugging Face hub stores it: a column of encoded images and one of labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.source import Item, Pool, Source, files_identity, no_labels, to_labels
from edgedistill.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "img", "images")
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class")
_BATCH_ROWS = 1024  # rows in memory at once


@dataclass(frozen=True)
class _Columns:
    image: str
    label: str
    names: tuple[str, ...] | None


def read(path: Path) -> Source:
    """A parquet file, or a folder with train*.parquet and, if there are any, validation*/test*.parquet."""
    groups = _groups(path)
    columns = _columns(groups["train"][0])
    label_values = {split: _labels(files, columns.label) for split, files in groups.items()}
    names = columns.names
    if any(values.dtype.kind in "OU" for values in label_values.values()):
        names = names or tuple(sorted({str(v) for values in label_values.values() for v in values}))
        number = {name: index for index, name in enumerate(names)}
        label_values = {
            split: np.array([number.get(str(v), -1) for v in values], dtype=np.int64)
            for split, values in label_values.items()
        }
    pools = {
        split: Pool(
            labels=to_labels(values, len(values), f"{groups[split][0]}, column {columns.label!r}"),
            items=_walker(groups[split], columns.image),
        )
        for split, values in label_values.items()
    }
    if names is None:
        names = tuple(
            str(i)
            for i in range(1 + max((int(p.labels.max()) for p in pools.values() if len(p)), default=-1))
        )
    return Source(
        name=path.stem if path.is_file() else path.name,
        train=pools["train"],
        validation=pools.get("validation"),
        test=pools.get("test"),
        labels=names,
        identity=files_identity([file for files in groups.values() for file in files]),
    )


def unlabelled(path: Path) -> tuple[Pool, list[Path]]:
    """The images of a parquet file, or of all in a folder, and the files; labels are not looked for."""
    import pyarrow.parquet as pq

    files = [path] if path.is_file() else files_in(path)
    column = _image_column(files[0], _schema(files[0]))
    for file in files[1:]:
        if column not in _schema(file).names:
            raise DataError(f"no column {column!r}", where=str(file), fix="give all files the same columns")
    count = sum(pq.read_metadata(file).num_rows for file in files)
    return Pool(labels=no_labels(count), items=_walker(files, column)), files


def files_in(folder: Path) -> list[Path]:
    """The parquet files of a folder, or of its data/ (where the hub keeps them)."""
    return sorted(folder.glob("*.parquet")) or sorted((folder / "data").glob("*.parquet"))


def _groups(path: Path) -> dict[str, list[Path]]:
    if path.is_file():
        return {"train": [path]}
    files = files_in(path)
    groups = {
        split: [f for f in files if f.name.lower().startswith(prefix)]
        for split, prefix in (("train", "train"), ("validation", "val"), ("test", "test"))
    }
    if not groups["train"]:
        if len(files) > 1:
            raise DataError(
                f"{len(files)} parquet files, but none is called train*.parquet",
                where=str(path),
                fix=f"rename the training files, or name one file: {files[0]}",
            )
        groups = {"train": files}
    return {split: found for split, found in groups.items() if found}


def _schema(path: Path) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as cause:
        raise DataError(
            "not a readable parquet file",
            where=str(path),
            fix=f"download it again ({str(cause).splitlines()[0]})",
        ) from cause


def _columns(path: Path) -> _Columns:
    schema = _schema(path)
    features = _features(schema)
    image = _image_column(path, schema)
    classes = [k for k, v in features.items() if isinstance(v, dict) and v.get("_type") == "ClassLabel"]
    preferred = [n for n in LABEL_COLUMNS if n in classes]
    label = next((n for n in [*preferred, *classes, *LABEL_COLUMNS] if n in schema.names), None)
    if label is None:
        raise _missing("labels", LABEL_COLUMNS, schema, path)
    names: object = None
    feature = features.get(label)
    if isinstance(feature, dict):
        names = feature.get("names")
    elif b"names" in (schema.metadata or {}):
        names = _json(schema.metadata[b"names"])
    if isinstance(names, dict):  # {"0": "cat", ...}, the older form
        names = [names[key] for key in sorted(names, key=int)] if all(k.isdigit() for k in names) else None
    return _Columns(image, label, tuple(str(n) for n in names) if isinstance(names, list) else None)


def _image_column(path: Path, schema: pa.Schema) -> str:
    features = _features(schema)
    images = [k for k, v in features.items() if isinstance(v, dict) and v.get("_type") == "Image"]
    image = next((n for n in [*images, *IMAGE_COLUMNS] if n in schema.names), None)
    if image is None:
        raise _missing("images", IMAGE_COLUMNS, schema, path)
    return image


def _missing(what: str, known: tuple[str, ...], schema: pa.Schema, path: Path) -> DataError:
    return DataError(
        f"no column of {what} among: {', '.join(schema.names) or 'none'}",
        where=str(path),
        fix=f"call it {known[0]!r} (known: {', '.join(known)})",
    )


def _features(schema: pa.Schema) -> dict[str, object]:
    content = _json((schema.metadata or {}).get(b"huggingface", b"{}"))
    for key in ("info", "features"):
        content = content.get(key, {}) if isinstance(content, dict) else {}
    return content if isinstance(content, dict) else {}


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return {}  # a foreign writer's metadata: the columns' names decide then


def _labels(files: list[Path], column: str) -> NDArray[np.generic]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts: list[NDArray[np.generic]] = []
    for file in files:
        if column not in _schema(file).names:
            raise DataError(f"no column {column!r}", where=str(file), fix="give all files the same columns")
        try:
            values = pq.read_table(file, columns=[column])[column]
        except (pa.ArrowInvalid, OSError) as cause:
            raise DataError(
                f"column {column!r} cannot be read",
                where=str(file),
                fix="the file is damaged: download it again",
            ) from cause
        if values.null_count:
            raise DataError(
                f"{values.null_count} of {len(values)} rows have no label",
                where=f"{file}, column {column!r}",
                fix="leave unlabelled rows out",
            )
        parts.append(np.asarray(values.to_numpy()))
    return np.concatenate(parts)


def _walker(files: list[Path], column: str) -> Callable[[], Iterator[Item]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def items() -> Iterator[Item]:
        for file in files:
            row = 0
            try:
                for batch in pq.ParquetFile(file).iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
                    for value in batch.column(0).to_pylist():
                        yield f"{file.name}[{row}]", _bytes(value, file)
                        row += 1
            except (pa.ArrowInvalid, KeyError, OSError) as cause:
                raise DataError(
                    f"column {column!r} cannot be read from row {row} on",
                    where=str(file),
                    fix="the file is damaged: download it again",
                ) from cause

    return items


def _bytes(value: object, file: Path) -> bytes | Path:
    if isinstance(value, dict):
        if value.get("bytes") is None and isinstance(value.get("path"), str):
            return file.parent / str(value["path"])
        value = value.get("bytes")
    if value is None:
        return b""  # counted among the broken images
    if not isinstance(value, bytes):
        raise DataError(
            f"images are stored as {type(value).__name__}",
            where=str(file),
            fix="store encoded images: bytes, or a struct {bytes, path}",
        )
    return value
