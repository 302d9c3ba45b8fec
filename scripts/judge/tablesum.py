"""The figures by which two readers of a table are compared, in one place so that they mean the same everywhere.

summarize(names, rows) takes an iterable of rows (tuples in the order of names) of plain Python values and returns

    {"rows": n, "columns": {name: {"nulls": n, "hash": hex, ...}}}

with, where the column has them, "sum", "min", "max" (numbers), "elements" and "element_nulls" (lists), "entries" and
"entry_nulls" (maps). Sums of floats are exact (math.fsum), so they do not depend on the order of rows; so is the hash:
the sum modulo 2^64 of a hash of each row's value, which tells a null list from an empty one and the order within it.
Timestamps come as integer microseconds since 1970 UTC, dates as ISO text, maps as dicts or lists of pairs, bytes as bytes.
"""
import hashlib
import math
from decimal import Decimal


def canonical(v):
    """One spelling per value; floats by their bits, so that 0.1 as float32 and as float64 differ."""
    if v is None:
        return "~"
    if isinstance(v, bool):
        return "t" if v else "f"
    if isinstance(v, float):
        return v.hex()
    if isinstance(v, (int, Decimal)):
        return str(v)
    if isinstance(v, (bytes, bytearray)):
        return "x" + bytes(v).hex()
    if isinstance(v, (dict, list, tuple)) and not v:
        return "[]"  # an empty map arrives from some readers as an empty list
    if isinstance(v, dict):
        return "{" + ",".join(f"{k}={canonical(x)}" for k, x in sorted(v.items())) + "}"
    if isinstance(v, (list, tuple)):
        if all(isinstance(p, tuple) and len(p) == 2 for p in v):  # Arrow's form of a map
            return canonical(dict(v))
        return "[" + ",".join(map(canonical, v)) + "]"
    return '"' + str(v) + '"'


class Column:
    def __init__(self):
        self.nulls = self.hash = 0
        self.numbers = []
        self.inner = {}

    def add(self, v):
        digest = hashlib.sha256(canonical(v).encode()).digest()
        self.hash = (self.hash + int.from_bytes(digest[:8], "big")) % (1 << 64)
        if v is None:
            self.nulls += 1
        elif isinstance(v, (int, float)) and not isinstance(v, bool):
            self.numbers.append(v)
        elif isinstance(v, (dict, list, tuple)) and v:
            if isinstance(v, dict) or isinstance(v[0], tuple):
                self.count("entries", "entry_nulls", dict(v).values())
            else:
                self.count("elements", "element_nulls", v)

    def count(self, name, nulls, values):
        self.inner[name] = self.inner.get(name, 0) + len(values)
        self.inner[nulls] = self.inner.get(nulls, 0) + sum(x is None for x in values)

    def figures(self):
        out = {"nulls": self.nulls, "hash": f"{self.hash:016x}"}
        if self.numbers:
            whole = all(isinstance(x, int) for x in self.numbers)
            out |= {"sum": sum(self.numbers) if whole else math.fsum(self.numbers), "min": min(self.numbers), "max": max(self.numbers)}
        return out | self.inner


def summarize(names, rows):
    columns = [Column() for _ in names]
    n = 0
    for row in rows:
        n += 1
        for column, value in zip(columns, row):
            column.add(value)
    return {"rows": n, "columns": {name: c.figures() for name, c in zip(names, columns)}}
