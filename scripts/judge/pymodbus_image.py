#!/usr/bin/env python3
"""A pymodbus server on a free loopback port whose registers bessd's authors did not lay out: SunSpec models from
pysunspec2's own definitions, and the Pylontech Powercube M2's map.

    pymodbus_image.py [--sunspec UNIT] [--pylontech UNIT] [--base 40000] [--seed 1] [--strings 4] [--modules 3]
                      [--cells 14] [--heartbeat-s 1] [--holes]

First line of output: {"port": n, "sunspec": unit or null, "pylontech": unit or null, "base": n}. It then obeys lines of
JSON on standard input, each answered by {"ok": true, ...} or {"ok": false, "error": "..."}, and ends with the input:

    {"set": {"802.SoC": 55.5}}                   physical values; null writes the not-implemented sentinel
    {"raw": {"804:2.Mod:3.ModSoC": 9000}}        integers as on the wire, before the scale factor
    {"registers": {"40071": 7}, "unit": 1}       single registers, whatever their point says; null gives them back
    {"get": ["802.Hb", "pylontech.SoC"]}         -> {"ok": true, "raw": {...}}

A path is MODEL[:instance].POINT or MODEL[:instance].GROUP:index.POINT, counted from 1; GROUP is any name, for no model
here has more than one. Pylontech points are named as in the table below.
"""
import argparse
import asyncio
import json
import math
import random
import struct
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sunspec2 import device, mdef

# What each scale factor stands at: none is 0 where a real device would have another.
SCALE = {
    "AHRtg_SF": 0, "WHRtg_SF": 2, "WChaDisChaMax_SF": 2, "DisChaRte_SF": -2, "SoC_SF": -2, "DoD_SF": -1, "SoH_SF": -1,
    "V_SF": -1, "CellV_SF": -3, "A_SF": -1, "AMax_SF": 0, "W_SF": 1, "ModTmp_SF": -1, "Tmp_SF": -2, "WH_SF": 2, "Pct_SF": -1,
}
# Per model another factor than the common one, as devices mix them.
SCALE_OF_MODEL = {(804, "CellV_SF"): -4, (805, "CellV_SF"): -4, (805, "V_SF"): -2, (803, "A_SF"): -2}

# Points a battery of this kind would leave out: optional in their models, and absent here in every instance.
ABSENT = {713: {"SoH"}, 802: {"DisChaRte", "CtrlHb", "StateVnd", "ReqW"}, 803: {"StrAAvg"}, 804: {"DoD", "NCellBal"}, 805: {"NCyc"}}
# And those that only one member leaves out: (model, instance or string, point).
ABSENT_IN = {(803, 2, "StrSoH"), (803, 3, "StrConFail"), (804, 3, "V"), (805, 5, "SoC"), (805, 2, "CellTmpAvg")}

TEXT = {"Mn": "Example Storage", "Md": "LFP-Rack 280", "Opt": "4x3x14", "Vr": "1.4.2"}


class Plant:
    """A battery at one moment: cell voltages and temperatures first, all else follows from them."""

    def __init__(self, rng, strings, modules, cells):
        self.cell_v = [[[3.28 + 0.004 * s + rng.uniform(-0.012, 0.012) for _ in range(cells)] for _ in range(modules)] for s in range(strings)]
        self.cell_t = [[[24.0 + s + 0.5 * m + rng.uniform(-1.5, 1.5) for _ in range(cells)] for m in range(modules)] for s in range(strings)]
        self.soc = [rng.uniform(52, 58) for _ in range(strings)]
        self.soh = [rng.uniform(96, 99) for _ in range(strings)]
        self.amps = [rng.uniform(-80, -60) for _ in range(strings)]  # SunSpec: negative while charging
        self.cycles = rng.randrange(200, 70_000)


def extremes(members):
    """members: (value, ...place). Returns the largest and the smallest, with their places counted from 1."""
    return max(members), min(members)


def mean(xs):
    return math.fsum(xs) / len(xs)


def module_values(p, s, m):
    volts, temps = p.cell_v[s][m], p.cell_t[s][m]
    vmax, vmin = extremes([(v, i + 1) for i, v in enumerate(volts)])
    tmax, tmin = extremes([(t, i + 1) for i, t in enumerate(temps)])
    return {"SoC": p.soc[s] + 0.1 * m, "DoD": 100 - p.soc[s], "SoH": p.soh[s] - 0.1 * m, "NCyc": p.cycles, "V": math.fsum(volts),
            "CellVMax": vmax[0], "CellVMaxCell": vmax[1], "CellVMin": vmin[0], "CellVMinCell": vmin[1], "CellVAvg": mean(volts),
            "CellTmpMax": tmax[0], "CellTmpMaxCell": tmax[1], "CellTmpMin": tmin[0], "CellTmpMinCell": tmin[1],
            "CellTmpAvg": mean(temps), "NCellBal": m, "NCell": len(volts), "StrIdx": s + 1, "ModIdx": m + 1, "SN": f"M{s + 1:02}{m + 1:02}"}


def string_values(p, s):
    mods = [module_values(p, s, m) for m in range(len(p.cell_v[s]))]
    vmax, vmin = extremes([(v, m + 1) for m, vs in enumerate(p.cell_v[s]) for v in vs])
    tmax, tmin = extremes([(t, m + 1) for m, ts in enumerate(p.cell_t[s]) for t in ts])
    return {"Idx": s + 1, "NMod": len(mods), "SoC": p.soc[s], "DoD": 100 - p.soc[s], "SoH": p.soh[s], "NCyc": p.cycles + s, "A": p.amps[s],
            "V": math.fsum(x["V"] for x in mods), "NCellBal": sum(x["NCellBal"] for x in mods),
            "CellVMax": vmax[0], "CellVMaxMod": vmax[1], "CellVMin": vmin[0], "CellVMinMod": vmin[1], "CellVAvg": mean([x["CellVAvg"] for x in mods]),
            "ModTmpMax": tmax[0], "ModTmpMaxMod": tmax[1], "ModTmpMin": tmin[0], "ModTmpMinMod": tmin[1],
            "ModTmpAvg": mean([x["CellTmpAvg"] for x in mods])}


def bank_values(p):
    strs = [string_values(p, s) for s in range(len(p.soc))]
    place = lambda key: [(x[key], i + 1, x.get(key + "Mod")) for i, x in enumerate(strs)]
    out = {"AHRtg": 1120, "WHRtg": 145_600, "WHAvail": 79_900, "WChaRteMax": 72_800, "WDisChaRteMax": 72_800, "SoCMax": 95, "SoCMin": 5,
           "SocRsvMax": 90, "SoCRsvMin": 10, "SoC": mean(p.soc), "DoD": 100 - mean(p.soc), "SoH": mean(p.soh), "NCyc": p.cycles, "Hb": 0,
           "AlmRst": 0, "WarrDt": 13_149, "V": mean([x["V"] for x in strs]), "VMax": 153.3, "VMin": 117.6, "A": math.fsum(p.amps),
           "AChaMax": 560, "ADisChaMax": 560, "CellVAvg": mean([x["CellVAvg"] for x in strs]), "NStr": len(strs), "NStrCon": len(strs),
           "StrVAvg": mean([x["V"] for x in strs]), "StrAAvg": mean(p.amps), "ModTmpAvg": mean([x["ModTmpAvg"] for x in strs]), "NCellBal": 3}
    out["W"] = out["V"] * out["A"]
    for key, name in (("CellV", "CellV"), ("ModTmp", "ModTmp")):
        for end, pick in (("Max", max), ("Min", min)):
            out[name + end], out[name + end + "Str"], out[name + end + "Mod"] = pick(place(key + end))
    for key in ("V", "A"):
        for end, pick in (("Max", max), ("Min", min)):
            out["Str" + key + end], out["Str" + key + end + "Str"], _ = pick(place(key))
    return out


class SunSpec:
    """The chain of models, kept as pysunspec2's own objects; registers are what they encode to."""

    def __init__(self, args):
        self.rng = random.Random(args.seed)
        self.base = args.base
        plant = Plant(self.rng, args.strings, args.modules, args.cells)
        bank = bank_values(plant)
        strings = [string_values(plant, s) for s in range(args.strings)]
        modules = [[module_values(plant, s, m) for m in range(args.modules)] for s in range(args.strings)]
        self.models = [
            self.model(1, 1, {**TEXT, "SN": "EX-0001", "DA": args.sunspec}),
            self.model(713, 1, {"WHRtg": bank["WHRtg"], "WHAvail": bank["WHAvail"], "SoC": bank["SoC"], "SoH": bank["SoH"]}),
            self.model(802, 1, bank),
            self.model(803, 1, bank, [{"Str" + k: v for k, v in x.items()} for x in strings]),
        ]
        for s in range(args.strings):
            # 804 names a module's temperatures after its cells, 803 a string's after its modules.
            self.models.append(self.model(804, s + 1, strings[s], [{"Mod" + k: v for k, v in x.items()} for x in modules[s]]))
        for n, (s, m) in enumerate((s, m) for s in range(args.strings) for m in range(args.modules)):
            cells = [{"CellV": v, "CellTmp": t} for v, t in zip(plant.cell_v[s][m], plant.cell_t[s][m])]
            self.models.append(self.model(805, n + 1, modules[s][m], cells))

    def model(self, number, instance, values, members=()):
        """Builds one model: values and members are physical, by point name; what they lack is drawn or absent."""
        definition = device.get_model_def(number)[mdef.GROUP]
        raw = self.raw_points(number, instance, definition, values, None)
        for sub in definition.get(mdef.GROUPS, []):
            raw[sub[mdef.NAME]] = [self.raw_points(number, instance, sub, v, i + 1) for i, v in enumerate(members)]
        model = device.Model(model_id=number, data=raw)
        if model.error_info:
            raise SystemExit(f"pysunspec2 refuses model {number}: {model.error_info}")
        return model

    def raw_points(self, number, instance, group, values, index):
        raw = {}
        for p in group[mdef.POINTS]:
            name, kind, scale = p[mdef.NAME], p[mdef.TYPE], p.get(mdef.SF)
            member = index if number == 803 else instance
            if name in ABSENT.get(number, ()) or (number, member, name) in ABSENT_IN:
                continue
            if kind == mdef.TYPE_SUNSSF:
                raw[name] = SCALE_OF_MODEL.get((number, name), SCALE[name])
            elif name in values:
                v = values[name]
                factor = SCALE_OF_MODEL.get((number, scale), SCALE[scale]) if scale else 0
                raw[name] = v if isinstance(v, str) else round(v / 10.0**factor)
            elif "symbols" in p and "enum" in kind:
                raw[name] = self.rng.choice(p["symbols"])["value"]
            elif "symbols" in p:
                raw[name] = sum(1 << s["value"] for s in p["symbols"] if self.rng.random() < 0.1)
            elif "bitfield" in kind or "enum" in kind:
                raw[name] = self.rng.randrange(0, 1 << 12)
        return raw

    def registers(self):
        data = b"SunS" + b"".join(m.get_mb() for m in self.models) + struct.pack(">HH", 0xFFFF, 0)
        return list(struct.unpack(f">{len(data) // 2}H", data))

    def point(self, path):
        head, *rest = path.split(".")
        number, _, instance = head.partition(":")
        model = [m for m in self.models if m.model_id == int(number)][int(instance or 1) - 1]
        if len(rest) == 1:
            return model.points[rest[0]]
        (members,) = model.groups.values()
        return members[int(rest[0].partition(":")[2]) - 1].points[rest[1]]

    def set(self, path, value, computed):
        point = self.point(path)
        if computed and value is not None:
            point.sf_value = None  # pysunspec2 keeps the factor of the first use
            point.cvalue = value
        else:
            point.value = value
        point.get_mb()  # refuses what does not fit

    def get(self, path):
        return self.point(path).value


class Pylontech:
    """Powercube M2, the system's registers: address, kind and scale (facts from OpenEMS, PylontechPowercubeM2BatteryImpl,
    commit 0e4ea88); 32-bit values have the high word first."""

    POINTS = {
        "version": (0x100A, "u16", 1, 0x0203), "piles": (0x100C, "u16", 1, 4), "status_bits": (0x1100, "u16", 1, 1 << 11),
        "protection_bits": (0x1101, "u16", 1, 0), "warning_bits": (0x1102, "u16", 1, 1 << 3), "V": (0x1103, "u16", 0.1, 768.4),
        "A": (0x1104, "i32", 0.01, -151.37), "temp": (0x1106, "i16", 0.1, -3.5), "SoC": (0x1107, "u16", 1, 63),
        "cycles": (0x1108, "u16", 1, 412), "maxChgV": (0x1109, "u16", 0.1, 864.0), "maxChgA": (0x110A, "i32", 0.01, 200.0),
        "minDisV": (0x110C, "u16", 0.1, 672.0), "maxDisA": (0x110D, "i32", 0.01, -200.0), "switch_bits": (0x110F, "u16", 1, 5),
        "cellVmax": (0x1110, "u16", 0.001, 3.341), "cellVmin": (0x1111, "u16", 0.001, 3.322), "cellTmax": (0x1114, "i16", 0.1, 4.2),
        "cellTmin": (0x1115, "i16", 0.1, -5.1), "modVmax": (0x1118, "u16", 0.01, 50.11), "modVmin": (0x1119, "u16", 0.01, 49.87),
        "modTmax": (0x111C, "i16", 0.1, 3.9), "modTmin": (0x111D, "i16", 0.1, -4.8), "SoH": (0x1120, "u16", 1, 97),
        "chgCapacity": (0x1123, "u32", 1, 123_456), "error_bits": (0x1132, "u16", 1, 0), "insulationR": (0x1148, "u16", 1, 850),
    }
    FIRST, LAST = 0x1000, 0x114F
    FORM = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i"}

    def __init__(self):
        self.base = self.FIRST
        self.words = [0] * (self.LAST - self.FIRST + 1)
        self.used = set()
        for name, (address, kind, _, value) in self.POINTS.items():
            self.set(name, value, True)
            self.used.update(range(address, address + struct.calcsize(self.FORM[kind]) // 2))

    def registers(self):
        return self.words

    def set(self, name, value, computed):
        address, kind, scale, _ = self.POINTS[name]
        data = struct.pack(self.FORM[kind], round(value / scale) if computed else value)
        words = struct.unpack(f">{len(data) // 2}H", data)
        self.words[address - self.FIRST:address - self.FIRST + len(words)] = words

    def get(self, name):
        address, kind, _, _ = self.POINTS[name]
        n = struct.calcsize(self.FORM[kind]) // 2
        return struct.unpack(self.FORM[kind], struct.pack(f">{n}H", *self.words[address - self.FIRST:address - self.FIRST + n]))[0]


class Unit:
    """One unit id: the registers that are served, renewed from their source after each change."""

    def __init__(self, number, source, used=None):
        self.source = source
        self.forced = {}  # address -> word
        self.renew()
        base = source.base
        addresses = range(base, base + len(self.words)) if used is None else sorted(used)
        blocks, block = [], []
        for a in addresses:
            if block and a != block[-1] + 1:
                blocks.append(block)
                block = []
            block.append(a)
        blocks.append(block)
        data = [SimData(b[0], values=[0] * len(b), datatype=DataType.REGISTERS, readonly=True) for b in blocks]
        self.device = SimDevice(number, data, action=self.serve)

    async def serve(self, _function, start, address, count, current, _new):
        offset = address - self.source.base
        current[address - start:address - start + count] = self.words[offset:offset + count]

    def renew(self):
        self.words = list(self.source.registers())
        for address, word in self.forced.items():
            self.words[address - self.source.base] = word


class Image:
    def __init__(self, args):
        self.units = {}
        if args.sunspec is not None:
            self.units[args.sunspec] = Unit(args.sunspec, SunSpec(args))
        if args.pylontech is not None:
            source = Pylontech()
            self.units[args.pylontech] = Unit(args.pylontech, source, source.used if args.holes else None)
        self.args = args

    def unit_of(self, path):
        if path.startswith("pylontech."):
            return self.units[self.args.pylontech], path.removeprefix("pylontech.")
        return self.units[self.args.sunspec], path

    def obey(self, command):
        for verb, computed in (("set", True), ("raw", False)):
            for path, value in command.get(verb, {}).items():
                unit, name = self.unit_of(path)
                unit.source.set(name, value, computed)
                unit.renew()
        for address, word in command.get("registers", {}).items():
            unit = self.units[command["unit"]]
            unit.forced[int(address)] = word
            if word is None:
                del unit.forced[int(address)]
            unit.renew()
        answer = {"ok": True}
        if "get" in command:
            answer["raw"] = {path: self.unit_of(path)[0].source.get(self.unit_of(path)[1]) for path in command["get"]}
        return answer

    async def beat(self):
        """The battery's heartbeat, which rolls over like any uint16 that keeps off the sentinel."""
        while True:
            await asyncio.sleep(self.args.heartbeat_s)
            unit = self.units[self.args.sunspec]
            unit.source.set("802.Hb", (unit.source.get("802.Hb") + 1) % 0xFFFF, False)
            unit.renew()


async def main():
    a = argparse.ArgumentParser()
    a.add_argument("--sunspec", type=int)
    a.add_argument("--pylontech", type=int)
    a.add_argument("--base", type=int, default=40000)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--strings", type=int, default=4)
    a.add_argument("--modules", type=int, default=3)
    a.add_argument("--cells", type=int, default=14)
    a.add_argument("--heartbeat-s", type=float, default=0, help="count 802.Hb up so often; 0 leaves it alone")
    a.add_argument("--holes", action="store_true", help="Pylontech: addresses without a point answer exception 2")
    args = a.parse_args()
    if args.sunspec is None and args.pylontech is None:
        args.sunspec = 1

    image = Image(args)
    server = ModbusTcpServer([u.device for u in image.units.values()], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "sunspec": args.sunspec, "pylontech": args.pylontech, "base": args.base}), flush=True)

    beat = asyncio.create_task(image.beat()) if args.sunspec is not None and args.heartbeat_s > 0 else None
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            answer = image.obey(json.loads(line))
        except Exception as e:  # a wrong command must not end the device
            answer = {"ok": False, "error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)
    if beat:
        beat.cancel()
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
