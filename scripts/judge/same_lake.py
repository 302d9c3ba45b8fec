"""Compares two lakes that were written from the same messages in another order and by other flushes.

    same_lake.py LAKE LAKE

prints {"rows", "figures": of merged rollups, "records": of devices and agent_events, "flushes": [commits of telemetry in
each lake], "differences": [text, at most 20]}.
Rows of telemetry pair by (site, device, epoch, seq) and must be equal in every column but late_s, which follows from
when a message was sent; merged rollups must be equal to 1e-9 relative. A LAKE is a path or s3://bucket/prefix.
"""
import json
import os
import sys

import pyarrow as pa

from exactly_once import open_table
from rollup_check import merge, near

IDENTITY = {"telemetry": ["site", "device", "epoch", "seq"], "devices": ["site", "epoch", "rec"], "agent_events": ["site", "epoch", "rec"]}


def plain(column):
    """Dictionaries decoded, so that their order does not count."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def sorted_table(lake, name):
    t = open_table(f"{lake}/{name}").to_pyarrow_table()
    t = pa.table({n: plain(t[n]) for n in t.column_names if n != "late_s"})
    return t.sort_by([(n, "ascending") for n in IDENTITY[name]])


def compare_rows(name, a, b, differ):
    if a.num_rows != b.num_rows:
        differ(f"{name}: {a.num_rows} and {b.num_rows} rows")
        return
    if a.schema.names != b.schema.names:
        differ(f"{name}: columns {sorted(set(a.schema.names) ^ set(b.schema.names))} are in one only")
        return
    key = list(zip(*(a[n].to_pylist() for n in IDENTITY[name])))
    for column in a.column_names:
        x, y = a[column].combine_chunks(), b[column].combine_chunks()
        if x.equals(y):
            continue
        x, y = x.to_pylist(), y.to_pylist()
        for i in range(len(x)):
            if x[i] != y[i]:
                differ(f"{name} {key[i]} {column}: {x[i]} and {y[i]}")
                break


def compare_rollups(a, b, differ):
    """Compares merged rollups; returns how many figures."""
    a, b = merge(a), merge(b)
    for k in sorted(set(a) ^ set(b)):
        differ(f"rollup {k}: in {'the first' if k in a else 'the second'} lake only")
    figures = 0
    for k in sorted(set(a) & set(b)):
        for f in a[k]:
            x, y = a[k][f], b[k][f]
            figures += 1
            if f == "states_s":
                same = x.keys() == y.keys() and all(near(x[s], y[s]) for s in x)
            elif isinstance(x, float) and isinstance(y, float):
                same = near(x, y)
            else:
                same = x == y
            if not same:
                differ(f"rollup {k} {f}: {x} and {y}")
    return figures


def main(first, second):
    differences, count = [], {}
    for name in IDENTITY:
        a, b = sorted_table(first, name), sorted_table(second, name)
        compare_rows(name, a, b, differences.append)
        count[name] = a.num_rows
    parts = [open_table(f"{lake}/rollup_1m_parts").to_pyarrow_table() for lake in (first, second)]
    figures = compare_rollups(*parts, differences.append)
    flushes = [open_table(f"{lake}/telemetry").version() for lake in (first, second)]  # version 0 creates the table
    json.dump({"rows": count["telemetry"], "figures": figures, "records": count["devices"] + count["agent_events"],
               "flushes": flushes, "differences": differences[:20]}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # as exactly_once.py


if __name__ == "__main__":
    main(*sys.argv[1:])
