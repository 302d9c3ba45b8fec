"""Counts the scans in table `telemetry` the way a stranger would: with delta-rs, without a word from bessd.

    exactly_once.py TABLE_URL [--events TABLE_URL] [--rows FILE]

prints {"rows", "distinct", "epochs": [{site, device, epoch, rows, distinct, first, last, first_ts, last_ts, qualities}]}
and, with --rows, writes site,device,epoch,seq,ts_us,quality,heartbeat as CSV in order of site, device, ts.

With --events, table `agent_events` tells what there should be: each epoch also has "named", the highest seq that a
heartbeat names, and "stopped", whether the agent has said that it stopped in order (its last heartbeat comes right before).
A device that a heartbeat names and `telemetry` does not have is an epoch of 0 rows.
TABLE_URL is a path or s3://bucket/prefix; S3 settings come from AWS_* in the environment.
"""
import argparse
import json
import os
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from deltalake import DeltaTable


def open_table(url):
    options = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    return DeltaTable(url, storage_options=options or None)


def add_named(epochs, url):
    """Adds what the agents say they have taken."""
    t = open_table(url).to_pyarrow_table(columns=["site", "epoch", "event", "last_seq"])
    named, stopped = {}, set()
    for r in t.to_pylist():
        if r["event"] == "stop":
            stopped.add((r["site"], r["epoch"]))
        for device, seq in r["last_seq"] or []:
            key = (r["site"], device, r["epoch"])
            named[key] = max(named.get(key, 0), int(seq))
    have = {(e["site"], e["device"], e["epoch"]) for e in epochs}
    epochs += [{"site": s, "device": d, "epoch": n, "rows": 0, "distinct": 0, "first": 0, "last": 0, "first_ts": 0,
                "last_ts": 0, "qualities": {}} for s, d, n in sorted(named.keys() - have)]
    for e in epochs:
        e["named"] = named.get((e["site"], e["device"], e["epoch"]), 0)
        e["stopped"] = (e["site"], e["epoch"]) in stopped


def main():
    a = argparse.ArgumentParser()
    a.add_argument("table")
    a.add_argument("--events")
    a.add_argument("--rows")
    args = a.parse_args()
    names = ["site", "device", "epoch", "seq", "ts", "quality", "heartbeat"]
    t = open_table(args.table).to_pyarrow_table(columns=names)
    t = pa.table({n: t[n].cast(pa.string()) if n in ("site", "device", "quality") else t[n] for n in names})
    t = t.append_column("ts_us", t["ts"].cast(pa.int64()))
    key = ["site", "device", "epoch"]
    g = t.group_by(key).aggregate([("seq", "count"), ("seq", "count_distinct"), ("seq", "min"), ("seq", "max"),
                                   ("ts_us", "min"), ("ts_us", "max")])
    q = t.group_by(key + ["quality"]).aggregate([("seq", "count")]).to_pylist()
    qualities = {}
    for r in q:
        qualities.setdefault((r["site"], r["device"], r["epoch"]), {})[r["quality"]] = r["seq_count"]
    epochs = [{"site": r["site"], "device": r["device"], "epoch": r["epoch"], "rows": r["seq_count"],
               "distinct": r["seq_count_distinct"], "first": r["seq_min"], "last": r["seq_max"],
               "first_ts": r["ts_us_min"], "last_ts": r["ts_us_max"],
               "qualities": qualities[(r["site"], r["device"], r["epoch"])]} for r in g.to_pylist()]
    if args.events:
        add_named(epochs, args.events)
    if args.rows:
        out = t.select(["site", "device", "epoch", "seq", "ts_us", "quality", "heartbeat"])
        out = out.sort_by([("site", "ascending"), ("device", "ascending"), ("ts_us", "ascending")])
        pa.csv.write_csv(out, args.rows)
    json.dump({"rows": t.num_rows, "distinct": sum(e["distinct"] for e in epochs), "epochs": epochs}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # Arrow's I/O threads over deltalake's file system now and then abort an orderly exit


if __name__ == "__main__":
    main()
