"""Recomputes the one-minute rollups from `telemetry` and `devices`, and compares them with the merged parts.

    rollup_check.py TELEMETRY ROLLUP_1M_PARTS DEVICES

prints {"parts", "merged", "compared": figures, "values": present values of telemetry, "differences": [text, at most 20]}.
Written from docs/format/rollup.md. Tables are read with delta-rs; figures may differ by 1e-9 relative.
"""
import json
import math
import os
import sys
from collections import defaultdict

import pyarrow as pa

from exactly_once import open_table

KEYS = {"ts", "epoch", "seq", "site", "device", "kind", "scan_ms", "quality", "rejected", "plan", "late_s", "flags", "extra", "dt"}
MINUTE = 60_000_000


def micros(table):
    """Timestamps as integers."""
    cols = {}
    for name in table.column_names:
        c = table[name]
        cols[name] = c.cast(pa.timestamp("us", "UTC")).cast(pa.int64()) if pa.types.is_timestamp(c.type) else c
    return pa.table(cols)


def recompute(telemetry, periods):
    """{key: figures} and the count of present values. A key is (site, device, epoch, point, minute)."""
    out, values = {}, 0
    t = micros(telemetry)
    key = {n: t[n].to_pylist() for n in ("ts", "epoch", "site", "device", "plan", "quality")}
    for name in t.column_names:
        if name in KEYS:
            continue
        column = t[name]
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            values += sum(len([x for x in v if x is not None]) for v in column.to_pylist() if v)
            continue
        if column.null_count == len(column):
            continue
        text = not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type))
        at_low, at_high = at_columns(t, name)
        for i, v in enumerate(column.to_pylist()):
            if v is None:
                continue
            values += 1
            if name.endswith("_at") or key["quality"][i] not in ("good", "partial"):
                continue
            ts = key["ts"][i]
            k = (key["site"][i], key["device"][i], key["epoch"][i], name, ts // MINUTE * MINUTE)
            period = periods[key["plan"][i]].get(name)
            if period is None:
                raise SystemExit(f"devices has no period of {name} in plan {key['plan'][i]}")
            r = out.get(k)
            if r is None:
                r = out[k] = {"n": 0, "values": [], "weight": [], "first_ts": ts, "last_ts": ts, "first": v, "last": v, "states": defaultdict(float), "bits": 0}
            r["n"] += 1
            r["weight"].append(period)
            if ts < r["first_ts"]:
                r["first_ts"], r["first"] = ts, v
            if ts > r["last_ts"]:
                r["last_ts"], r["last"] = ts, v
            if text:
                r["states"][v] += period
            else:
                r["values"].append((v, period, at_low[i] if at_low else None, at_high[i] if at_high else None))
                if isinstance(v, int):
                    r["bits"] |= v
    return out, values


def at_columns(t, name):
    low = high = None
    if name.endswith("_min_v") or name.endswith("_min_c"):
        low = t[name[:-2] + "_at"].to_pylist() if name[:-2] + "_at" in t.column_names else None
    if name.endswith("_max_v") or name.endswith("_max_c"):
        high = t[name[:-2] + "_at"].to_pylist() if name[:-2] + "_at" in t.column_names else None
    return low, high


def lowest_text(a, b, better):
    """Where the better of two values sat; of equal ones the lower path."""
    if a[0] != b[0]:
        return a[1] if better(a[0], b[0]) == a[0] else b[1]
    return min((x for x in (a[1], b[1]) if x), default=None)


def extreme_at(values, at, best):
    """The lowest path at which values (v, period, at_low, at_high) had their extreme; at is the path's place in them."""
    return min((x[at] for x in values if x[0] == best and x[at]), default=None)


def merge(parts):
    out = {}
    for p in micros(parts).to_pylist():
        k = (p["site"], p["device"], p["epoch"], p["point"], p["minute_ts"])
        p["states_s"] = dict(p["states_s"] or [])
        r = out.get(k)
        if r is None:
            out[k] = p
            continue
        r["n"] += p["n"]
        for f in ("sum", "pos", "neg", "weight_s"):
            if p[f] is not None:
                r[f] += p[f]
        if p["min"] is not None:
            r["at_min"] = lowest_text((r["min"], r["at_min"]), (p["min"], p["at_min"]), min)
            r["at_max"] = lowest_text((r["max"], r["at_max"]), (p["max"], p["at_max"]), max)
            r["min"], r["max"] = min(r["min"], p["min"]), max(r["max"], p["max"])
        if p["first_ts"] < r["first_ts"]:
            r["first_ts"], r["first"] = p["first_ts"], p["first"]
        if p["last_ts"] > r["last_ts"]:
            r["last_ts"], r["last"] = p["last_ts"], p["last"]
        for s, sec in p["states_s"].items():
            r["states_s"][s] = r["states_s"].get(s, 0) + sec
        if p["bit_or"] is not None:
            r["bit_or"] |= p["bit_or"]
    return out


def near(a, b):
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def main(telemetry, parts, devices):
    periods = {}
    for r in open_table(devices).to_pyarrow_table(columns=["plan", "periods_s"]).to_pylist():
        if r["plan"]:
            periods[r["plan"]] = dict(r["periods_s"] or [])
    want, values = recompute(open_table(telemetry).to_pyarrow_table(), periods)
    table = open_table(parts).to_pyarrow_table()
    got = merge(table)
    diffs, compared = [], 0

    def differ(k, figure, w, g):
        diffs.append(f"{k} {figure}: telemetry gives {w}, the parts give {g}")

    for k in sorted(set(want) ^ set(got)):
        diffs.append(f"{k}: only in {'telemetry' if k in want else 'the parts'}")
    for k, w in want.items():
        g = got.get(k)
        if g is None:
            continue
        figures = [("n", w["n"], g["n"]), ("first_ts", w["first_ts"], g["first_ts"]), ("last_ts", w["last_ts"], g["last_ts"]),
                   ("weight_s", math.fsum(w["weight"]), g["weight_s"])]
        if w["values"]:
            figures += [("first", w["first"], g["first"]), ("last", w["last"], g["last"])]
            vs = [v for v, *_ in w["values"]]
            if g["sum"] is not None:
                figures += [("sum", math.fsum(vs), g["sum"]), ("min", min(vs), g["min"]), ("max", max(vs), g["max"]),
                            ("at_min", extreme_at(w["values"], 2, min(vs)), g["at_min"]), ("at_max", extreme_at(w["values"], 3, max(vs)), g["at_max"])]
            if g["pos"] is not None:
                figures += [("pos", math.fsum(v * p for v, p, *_ in w["values"] if v > 0), g["pos"]),
                            ("neg", math.fsum(v * p for v, p, *_ in w["values"] if v < 0), g["neg"])]
            if g["bit_or"] is not None:
                figures.append(("bit_or", w["bits"], g["bit_or"]))
        for state in set(w["states"]) | (set(g["states_s"]) if w["states"] else set()):
            figures.append((f"seconds in {state}", w["states"].get(state, 0), g["states_s"].get(state, 0)))
        for figure, a, b in figures:
            compared += 1
            if a != b and (isinstance(a, str) or isinstance(b, str) or not near(float(a), float(b))):
                differ(k, figure, a, b)
    json.dump({"parts": table.num_rows, "merged": len(got), "compared": compared, "values": values, "differences": diffs[:20]}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # as exactly_once.py


if __name__ == "__main__":
    main(*sys.argv[1:])
