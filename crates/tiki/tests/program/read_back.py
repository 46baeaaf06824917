"""Reads the warehouse's file and its exports with sqlite3, pandas, pyarrow and DuckDB, as analysts do.

Arguments: the SQLite file; the folder with <table>.parquet, <table>.csv (--raw) and schema.json (`tiki schema --json`).
Ends with 0 if all of them see the right types and the same rows.
"""

import json
import sqlite3
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

DATABASE, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
SCHEMA = {table["name"]: table for table in json.loads((FOLDER / "schema.json").read_text())}
EXPORTED = sorted(path.stem for path in FOLDER.glob("*.parquet"))
ARROW = {
    "integer": pa.int64(), "real": pa.float64(), "flag": pa.bool_(), "text": pa.string(),
    "json": pa.string(), "time": pa.timestamp("ms", tz="UTC"), "bytes": pa.binary(),
}
DUCK = {
    "integer": "BIGINT", "real": "DOUBLE", "flag": "BOOLEAN", "text": "VARCHAR",
    "json": "JSON", "time": "TIMESTAMP WITH TIME ZONE", "bytes": "BLOB",
}
SQLITE = {
    "integer": "integer", "real": "real", "flag": "integer", "text": "text",
    "json": "text", "time": "text", "bytes": "blob",
}


def kinds(table, columns):
    of = {column["name"]: column["type"] for column in SCHEMA[table]["columns"]}
    return {name: of[name] for name in columns}


def same(what, one, other):
    assert one == other, f"{what}: {one!r} is not {other!r}"


def sqlite_has_the_types():
    connection = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    same("integrity", connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
    checked = 0
    for table, known in SCHEMA.items():
        for column in known["columns"]:
            name, kind = column["name"], column["type"]
            sql = f'SELECT DISTINCT typeof("{name}") FROM "{table}" WHERE "{name}" IS NOT NULL'
            found = {row[0] for row in connection.execute(sql)}
            assert found <= {SQLITE[kind]}, f"{table}.{name}: {found}, not {kind}"
            checked += len(found)
            if kind == "flag":
                sql = f'SELECT COUNT(*) FROM "{table}" WHERE "{name}" NOT IN (0, 1)'
                same(f"{table}.{name}", connection.execute(sql).fetchone(), (0,))
            if kind == "json":
                sql = f'SELECT COUNT(*) FROM "{table}" WHERE "{name}" IS NOT NULL AND NOT json_valid("{name}")'
                same(f"{table}.{name}", connection.execute(sql).fetchone(), (0,))
    assert checked > 100, checked
    return connection


def pandas_reads_sqlite(connection):
    history = pd.read_sql(
        "SELECT product_id, observed_at, price, rating_average, kind FROM product_history",
        connection,
        parse_dates=["observed_at"],
    )
    assert len(history) > 0
    same("ids", str(history["product_id"].dtype), "int64")
    same("prices", str(history["price"].dtype), "int64")
    same("ratings", str(history["rating_average"].dtype), "float64")
    assert isinstance(history["observed_at"].dtype, pd.DatetimeTZDtype), history["observed_at"].dtype
    # DuckDB's own reader of SQLite files is an extension that it downloads; this is the way without.
    answer = duckdb.sql("SELECT COUNT(*), SUM(price), typeof(ANY_VALUE(price)) FROM history").fetchall()[0]
    sql = "SELECT COUNT(*), SUM(price) FROM product_history"
    same("DuckDB over pandas", answer, (*connection.execute(sql).fetchone(), "BIGINT"))


def parquet_has_the_types(table):
    path = FOLDER / f"{table}.parquet"
    schema = pq.read_schema(path)
    for name, kind in kinds(table, schema.names).items():
        found = schema.field(name).type
        if isinstance(found, pa.BaseExtensionType):
            found = found.storage_type
        same(f"{table}.{name}", found, ARROW[kind])
    described = duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
    found = {row[0]: row[1] for row in described}
    same(f"{table} in DuckDB", found, {n: DUCK[k] for n, k in kinds(table, found).items()})


def as_kind(column, kind):
    """A column of CSV, all text, as its type."""
    column = column.mask(column == "")
    if kind == "integer":
        return column.astype("Int64")
    if kind == "real":
        return column.astype("float64")
    if kind == "flag":
        return column.map({"true": True, "false": False}).astype("boolean")
    if kind == "time":
        return pd.to_datetime(column, utc=True, format="ISO8601").astype("datetime64[ms, UTC]")
    return column


def parquet_has_the_rows_of_csv(table, connection):
    path = FOLDER / f"{table}.parquet"
    frame = pd.read_parquet(path)
    rows = pd.read_csv(FOLDER / f"{table}.csv", dtype=str, keep_default_na=False)
    same(f"{table}'s columns", list(frame.columns), list(rows.columns))
    count = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    same(f"rows of {table}", (len(frame), len(rows)), (count, count))
    for name, kind in kinds(table, frame.columns).items():
        one, other = frame[name], as_kind(rows[name], kind)
        if kind == "integer":
            one = one.astype("Int64")
        elif kind == "flag":
            one = one.astype("boolean")
        elif kind == "time":
            one = one.astype("datetime64[ms, UTC]")
        elif kind in ("text", "json"):
            # CSV knows no difference between nothing and an empty text.
            one, other = one.fillna("").astype(object), other.fillna("").astype(object)
        pd.testing.assert_series_equal(one, other, check_dtype=False, check_names=False, obj=f"{table}.{name}")


def duckdb_counts_as_sqlite_does(connection):
    sql = "SELECT COUNT(*), SUM(price), MIN(product_id), COUNT(stock_status) FROM {}"
    one = duckdb.sql(sql.format(f"'{FOLDER / 'product_history.parquet'}'")).fetchall()[0]
    other = duckdb.sql(sql.format(f"'{FOLDER / 'product_history.csv'}'")).fetchall()[0]
    wanted = connection.execute(sql.format("product_history")).fetchone()
    same("DuckDB over Parquet", one, wanted)
    same("DuckDB over CSV", other, wanted)
    newest = duckdb.sql(
        f"SELECT epoch_ms(MAX(observed_at)) FROM '{FOLDER / 'product_history.parquet'}'"
    ).fetchall()[0][0]
    wanted = connection.execute("SELECT MAX(observed_at) FROM product_history").fetchone()[0]
    same("the newest change", pd.Timestamp(newest, unit="ms", tz="UTC"), pd.Timestamp(wanted))


connection = sqlite_has_the_types()
pandas_reads_sqlite(connection)
assert len(EXPORTED) >= 4, EXPORTED
for table in EXPORTED:
    parquet_has_the_types(table)
    parquet_has_the_rows_of_csv(table, connection)
duckdb_counts_as_sqlite_does(connection)
print(f"{len(EXPORTED)} tables read back")
