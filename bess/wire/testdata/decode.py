"""Reads envelopes of bessd.proto with Google's protobuf library: the proof that they are protobuf.

usage: decode.py MODULE_DIR FILE...     prints one JSON line per file; MODULE_DIR is where bessd_pb2.py is generated
       and writes FILE.again: the same message as this library serializes it
"""

import hashlib
import json
import subprocess
import sys

from google.protobuf import json_format

out = sys.argv[1]
subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=" + out, "bessd.proto"], check=True)
sys.path.insert(0, out)
import bessd_pb2  # noqa: E402

SLOTS = ("columns", "texts", "lists")


def scan(s):
    """Applies the rules of docs/format/wire.md, independently of the Go code."""
    slots = []
    for part in SLOTS:
        num = 0
        for word in getattr(s.schema, part):
            num += word >> 4
            slots.append([part, num, word & 15])
    slots += [["extra", e.name, e.decimals] for e in s.schema.extra]
    tiers = []
    for run in s.schema.tiers:
        tiers += [run & 63] * (run >> 6)
    tiers += [0] * (len(slots) - len(tiers))
    values, texts, lists = iter(s.values), iter(s.texts), iter(s.lists)
    got = {}
    # Values run over columns and extra points; texts and lists have fields of their own.
    for i, (part, name, decimals) in enumerate(slots):
        if i // 8 < len(s.absent) and s.absent[i // 8] >> (i % 8) & 1:
            continue
        if part == "texts":
            got[str(name)] = next(texts)
        elif part == "lists":
            got[str(name)] = elements(next(lists), decimals)
        else:
            got[str(name)] = next(values) / 10**decimals
    assert next(values, None) is None and next(texts, None) is None and next(lists, None) is None
    return {
        "site": s.site, "device": s.device, "kind": s.kind, "epoch": s.epoch, "seq": s.seq, "ts": s.ts_us, "scan_us": s.scan_us,
        "quality": s.quality, "flags": s.flags, "map": s.schema.map, "periods": list(s.schema.periods), "tiers": tiers, "values": got,
        "plan": plan_id(s.schema, slots, tiers),
        "rejected": [[r >> 4, r & 15] for r in s.rejected],
    }


def plan_id(schema, slots, tiers):
    lines = ["map " + schema.map] + ["period %d" % p for p in schema.periods]
    for (part, name, decimals), tier in zip(slots, tiers):
        what = 'extra "%s"' % name if part == "extra" else "column %d" % name
        lines.append("%s %d %d" % (what, decimals, tier))
    return hashlib.sha256("".join(x + "\n" for x in lines).encode()).hexdigest()[:16]


def elements(message, decimals):
    bits = sum(bin(b).count("1") for b in message.absent)
    deltas, last, out = iter(message.deltas), 0, []
    for i in range(len(message.deltas) + bits):
        if i // 8 < len(message.absent) and message.absent[i // 8] >> (i % 8) & 1:
            out.append(None)
        else:
            last += next(deltas)
            out.append(last / 10**decimals)
    return out


for path in sys.argv[2:]:
    env = bessd_pb2.Envelope()
    with open(path, "rb") as f:
        env.ParseFromString(f.read())
    with open(path + ".again", "wb") as f:
        f.write(env.SerializeToString())
    if env.WhichOneof("arm") == "scan":
        print(json.dumps(scan(env.scan)))
    else:
        print(json.dumps(json_format.MessageToDict(env, preserving_proto_field_name=True)))
