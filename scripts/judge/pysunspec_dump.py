#!/usr/bin/env python3
"""Every point of a SunSpec device over Modbus TCP as pysunspec2 itself decodes it.

    pysunspec_dump.py HOST PORT UNIT

prints {"base": n, "models": [{"id", "instance", "address", "length", "error", "points": [{"path", "group", "index",
"name", "type", "units", "raw", "value"}]}]}. path is as pymodbus_image.py takes it; group and index are null for the
model's own points; raw is before the scale factor and value after it; both are null where the point is not implemented.
"""
import collections
import json
import sys

import sunspec2.modbus.client as client


def points(group, prefix, name, index):
    for p in group.points.values():
        yield {"path": f"{prefix}.{p.pdef['name']}", "group": name, "index": index, "name": p.pdef["name"], "type": p.pdef["type"],
               "units": p.pdef.get("units"), "raw": p.value, "value": p.cvalue}
    for sub, members in group.groups.items():
        for i, member in enumerate(members if isinstance(members, list) else [members]):
            yield from points(member, f"{prefix}.{sub}:{i + 1}", sub, i + 1)


def main():
    host, port, unit = sys.argv[1:]
    d = client.SunSpecModbusClientDeviceTCP(slave_id=int(unit), ipaddr=host, ipport=int(port), timeout=10)
    d.scan()
    seen = collections.Counter()
    models = []
    for m in d.model_list:
        seen[m.model_id] += 1
        n = seen[m.model_id]
        models.append({"id": m.model_id, "instance": n, "address": m.model_addr, "length": m.model_len, "error": m.error_info,
                       "points": list(points(m, f"{m.model_id}:{n}", None, None))})
    d.close()
    json.dump({"base": d.base_addr, "models": models}, sys.stdout)


if __name__ == "__main__":
    main()
