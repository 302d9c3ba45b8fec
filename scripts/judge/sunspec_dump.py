#!/usr/bin/env python3
"""Read one SunSpec unit over Modbus TCP with pysunspec2 and print all points as JSON.

usage: sunspec_dump.py HOST PORT UNIT [TIMEOUT_S]

Prints {"base": address, "models": [{"id", "addr", "len", "points": {...}, "groups": {name: [{...}]}}]}.
Values are computed (scale factor applied) and null where not implemented. Needs
pysunspec2==1.3.7; it shares no code with the simulator, which is the point.
"""

import json
import sys

import sunspec2.modbus.client as client


def dump_group(group):
    points = {}
    for name, point in group.points.items():
        value = point.cvalue
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        points[name] = value
    groups = {}
    for name, sub in group.groups.items():
        members = sub if isinstance(sub, list) else [sub]
        groups[name] = [dump_group(g)["points"] for g in members]
    return {"points": points, "groups": groups}


def main(argv):
    host, port, unit = argv[1], int(argv[2]), int(argv[3])
    timeout = float(argv[4]) if len(argv) > 4 else 10.0
    device = client.SunSpecModbusClientDeviceTCP(
        slave_id=unit, ipaddr=host, ipport=port, timeout=timeout
    )
    try:
        device.scan()
        models = []
        for model in device.model_list:
            entry = dump_group(model)
            entry.update({"id": model.model_id, "addr": model.model_addr, "len": model.model_len})
            if model.error_info:
                entry["error"] = model.error_info
            models.append(entry)
        json.dump({"base": device.base_addr, "models": models}, sys.stdout)
        print()
    finally:
        device.close()


if __name__ == "__main__":
    main(sys.argv)
