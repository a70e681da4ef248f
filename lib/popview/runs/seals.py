"""The seal of a result: a SHA-256 over what its table says, however Parquet lays it out."""

import hashlib
from collections.abc import Iterator

import pyarrow as pa

#: Keys of a table's metadata: what is known of its rows, as JSON, and the seal.
METADATA, SEAL = b"popview", b"popview seal"

#: Arrow's types that results have → their names in the encoding: NumPy's, little-endian, where it has them.
TYPES = {
    pa.int64(): "<i8",
    pa.float64(): "<f8",
    pa.float32(): "<f4",
    pa.float16(): "<f2",
    pa.uint8(): "|u1",
    pa.bool_(): "|b1",
    pa.string(): "text",
}


def type_name(kind: pa.DataType) -> str:
    """Return the name of a column's type in the encoding, such as ``<f8``, or ``list of <f2``.

    Raises
    ------
    ValueError
        If it is none that results have.
    """
    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if kind not in TYPES:
        raise ValueError(f"no result has columns of type {kind}")
    return TYPES[kind]


def seal_of(table: pa.Table) -> str:
    """Return the SHA-256 of a table's canonical encoding, in hexadecimal digits.

    The encoding is a sequence of pieces, each after its length in bytes (64 bits, little-endian):

    1. the words ``popview seal 1``, the metadata under ``popview``, the number of rows in decimal digits;
    2. of each column its name, the name of its type (`type_name`), and the pieces of its values.

    The values' pieces are a byte for each, 1 where there is one and 0 where it is null (nothing where none is null),
    and then, of those that are not null:

    - numbers and truth values: their bytes, little-endian;
    - texts: their lengths in bytes, 64 bits each, and their UTF-8;
    - lists: their lengths, 64 bits each, and the pieces of all their entries in a row.
    """
    found = hashlib.sha256()
    told = (table.schema.metadata or {}).get(METADATA, b"")
    for piece in (b"popview seal 1", told, b"%d" % len(table)):
        found.update(len(piece).to_bytes(8, "little") + piece)
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        for piece in (name.encode(), type_name(values.type).encode(), *_pieces(values)):
            found.update(len(piece).to_bytes(8, "little"))
            found.update(piece)
    return found.hexdigest()


def _pieces(values: pa.Array) -> Iterator[bytes]:
    if values.null_count:
        yield values.is_valid().to_numpy(zero_copy_only=False).tobytes()
        values = values.drop_null()
    else:
        yield b""
    if pa.types.is_list(values.type):
        yield values.value_lengths().to_numpy().astype("<i8").tobytes()
        yield from _pieces(values.flatten())
    elif pa.types.is_string(values.type):
        texts = [text.encode() for text in values.to_pylist()]
        yield b"".join(len(text).to_bytes(8, "little") for text in texts)
        yield b"".join(texts)
    else:
        yield values.to_numpy(zero_copy_only=False).astype(TYPES[values.type], copy=False).tobytes()


def sealed(table: pa.Table) -> pa.Table:
    """Return a table with its seal beside its metadata."""
    return table.replace_schema_metadata({METADATA: table.schema.metadata[METADATA], SEAL: seal_of(table)})


def unsealed(table: pa.Table) -> pa.Table:
    """Return a table without its seal; raise ValueError if it has none, or one that does not fit."""
    metadata = table.schema.metadata or {}
    for key, words in ((METADATA, "metadata"), (SEAL, "seal")):
        if key not in metadata:
            raise ValueError(f"it has no {words}")
    if metadata[SEAL].decode() != seal_of(table):
        raise ValueError("its seal is not that of its rows, columns and metadata")
    return table.replace_schema_metadata({METADATA: metadata[METADATA]})
