#!/usr/bin/env python3
"""Reads Delta tables with delta-rs and with DuckDB and prints the figures of tablesum.py for each.

    read_delta.py [--columns a,b] [--where SQL] [--reader deltalake|duckdb|both] TABLE...

prints {"tables": {TABLE: {"version": n, "files": n, "deltalake": {"rows": n, "columns": {...}}, "duckdb": {...}}}}.
TABLE is a directory, file:// or s3://bucket/prefix; S3 settings come from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. --where goes to DuckDB as it is and to delta-rs through DuckDB over its Arrow table, so each
reader decides by its own reading of the log which files hold the rows. It only reads.
"""
import argparse
import json
import os
import sys

import duckdb
import duckdb_extension_delta
import pyarrow as pa
from deltalake import DeltaTable

from tablesum import summarize


def extension(module, name):
    root = os.path.join(os.path.dirname(module.__file__), "extensions")
    for folder, _, files in os.walk(root):
        if name + ".duckdb_extension" in files:
            return os.path.join(folder, name + ".duckdb_extension")
    sys.exit(f"no {name} extension of DuckDB below {root}")


def storage_options():
    options = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    if options.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    if options:
        options.setdefault("AWS_REGION", "us-east-1")
    return options or None


def duck():
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    con.execute(f"LOAD '{extension(duckdb_extension_delta, 'delta')}'")
    con.execute("SET TimeZone='UTC'")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        import duckdb_extension_httpfs

        con.execute(f"LOAD '{extension(duckdb_extension_httpfs, 'httpfs')}'")
        scheme, host = endpoint.split("://", 1)
        con.execute(
            "CREATE SECRET (TYPE s3, KEY_ID ?, SECRET ?, ENDPOINT ?, URL_STYLE 'path', USE_SSL ?, REGION ?)".replace("?", "{}").format(
                *(quote(v) for v in (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], host.rstrip("/"), str(scheme == "https").lower(), os.environ.get("AWS_REGION", "us-east-1")))
            )
        )
    return con


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def rows_of(con, relation, names, where):
    """Yields (names, iterator over rows of plain values) of a relation: timestamps as microseconds, dates as text."""
    described = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    types = {name: kind for name, kind, *_ in described}
    names = names or list(types)
    if missing := set(names) - set(types):
        sys.exit(f"{relation} has no column {', '.join(sorted(missing))}")
    exprs = []
    for name in names:
        c = '"' + name + '"'
        if types[name].startswith("TIMESTAMP"):
            c = f"epoch_us({c})"
        elif types[name] == "DATE":
            c = f"CAST({c} AS VARCHAR)"
        exprs.append(c)
    cursor = con.execute(f"SELECT {', '.join(exprs)} FROM {relation} WHERE {where}")

    def rows():
        while batch := cursor.fetchmany(10_000):
            yield from batch

    return names, rows()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--columns", default="")
    a.add_argument("--where", default="true")
    a.add_argument("--reader", choices=["deltalake", "duckdb", "both"], default="both")
    a.add_argument("tables", nargs="+")
    args = a.parse_args()
    names = [n for n in args.columns.split(",") if n]
    con = duck()
    tables = {}
    for table in args.tables:
        dt = DeltaTable(table, storage_options=storage_options())
        out = {"version": dt.version(), "files": len(dt.file_uris())}
        if args.reader in ("deltalake", "both"):
            arrow = dt.to_pyarrow_table(columns=names or None) if args.where == "true" else dt.to_pyarrow_table()
            if args.where == "true":
                out["deltalake"] = summarize(arrow.column_names, arrow_rows(arrow))
            else:
                con.register("delta_rs", arrow)
                out["deltalake"] = summarize(*rows_of(con, "delta_rs", names, args.where))
                con.unregister("delta_rs")
        if args.reader in ("duckdb", "both"):
            out["duckdb"] = summarize(*rows_of(con, f"delta_scan({quote(table)})", names, args.where))
        tables[table] = out
    json.dump({"tables": tables}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # Arrow's I/O threads over deltalake's file system now and then abort an orderly exit


def arrow_rows(table):
    """The rows of an Arrow table without DuckDB in between."""
    plain = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        elif pa.types.is_date(column.type):
            column = column.cast(pa.string())
        plain.append(column)
    for i in range(0, table.num_rows, 10_000):
        yield from zip(*(c.slice(i, 10_000).to_pylist() for c in plain))


if __name__ == "__main__":
    main()
