"""What a battery behind a SunSpec device should look like in table `telemetry`, by pysunspec2's own decoding.

    sunspec_rows.py HOST PORT UNIT DEVICE

prints {"rows": {device path: {column: value}}, "points": how many device points went into it}. The mapping below is
written by hand from docs/format/vocabulary.md, not from bessd's own tables, so that a wrong table shows.
"""
import json
import sys

import sunspec2.modbus.client as client

EVT_BANK = ~(1 << 27) & 0x3FFFFFFF
EVT_RACK = EVT_BANK & ~(1 << 24)
CHARGE = {1: "off", 2: "empty", 3: "discharging", 4: "charging", 5: "full", 6: "idle", 7: "testing"}
STATE = {1: "disconnected", 2: "initializing", 3: "running", 4: "standby", 5: "soc_protection", 6: "shutting_down", 99: "fault"}
CON_FAIL = {0: "no_failure", 1: "button_pushed", 2: "ground_fault", 3: "outside_voltage_range", 4: "not_enabled",
            5: "fuse_open", 6: "contactor_failure", 7: "precharge_failure", 8: "rack_fault"}
CON_FAIL_BITS = {2: 1 << 22, 5: 1 << 35, 6: 1 << 20, 7: 1 << 34, 8: 1 << 25}
DISABLED = {0: "none", 1: "fault", 2: "maintenance", 3: "external", 4: "other"}

BANK = {  # 713 first: 802 overrides where both tell
    713: {"SoC": ("soc_pct", 2), "SoH": ("soh_pct", 2), "WHAvail": ("energy_available_wh", 1), "WHRtg": ("energy_rated_wh", 1)},
    802: {"SoC": ("soc_pct", 2), "SoH": ("soh_pct", 2), "DoD": ("dod_pct", 2), "V": ("voltage_v", 3), "A": ("current_a", 2),
          "W": ("power_w", 1), "NCyc": ("cycle_count", 2), "CellVMin": ("cell_voltage_min_v", 4),
          "CellVMax": ("cell_voltage_max_v", 4), "CellVAvg": ("cell_voltage_avg_v", 4),
          "AChaMax": ("charge_current_limit_a", 2), "ADisChaMax": ("discharge_current_limit_a", 2),
          "VMax": ("charge_voltage_limit_v", 3), "VMin": ("discharge_voltage_limit_v", 3), "SoCMin": ("soc_limit_min_pct", 2),
          "SoCMax": ("soc_limit_max_pct", 2), "SoCRsvMin": ("soc_reserve_min_pct", 2), "SocRsvMax": ("soc_reserve_max_pct", 2),
          "SoCRsvMax": ("soc_reserve_max_pct", 2), "WHRtg": ("energy_rated_wh", 1), "AHRtg": ("capacity_rated_ah", 2),
          "WChaRteMax": ("charge_power_rated_w", 1), "WDisChaRteMax": ("discharge_power_rated_w", 1), "Hb": ("heartbeat", 0),
          "StateVnd": ("vendor_state_code", 0), "EvtVnd1": ("vendor_event1_bits", 0), "EvtVnd2": ("vendor_event2_bits", 0)},
    803: {"ModTmpMin": ("cell_temperature_min_c", 2), "ModTmpMax": ("cell_temperature_max_c", 2),
          "ModTmpAvg": ("cell_temperature_avg_c", 2), "NCellBal": ("balancing_cell_count", 0), "StrVMin": ("rack_voltage_min_v", 3),
          "StrVMax": ("rack_voltage_max_v", 3), "StrAMin": ("rack_current_min_a", 2), "StrAMax": ("rack_current_max_a", 2),
          "NStr": ("rack_count", 0), "NStrCon": ("rack_connected_count", 0)},
}
STRING_803 = {"StrSoC": ("soc_pct", 2), "StrSoH": ("soh_pct", 2), "StrA": ("current_a", 2), "StrCellVMin": ("cell_voltage_min_v", 4),
              "StrCellVMax": ("cell_voltage_max_v", 4), "StrCellVAvg": ("cell_voltage_avg_v", 4),
              "StrModTmpMin": ("cell_temperature_min_c", 2), "StrModTmpMax": ("cell_temperature_max_c", 2),
              "StrModTmpAvg": ("cell_temperature_avg_c", 2), "StrNMod": ("module_count", 0),
              "StrEvtVnd1": ("vendor_event1_bits", 0), "StrEvtVnd2": ("vendor_event2_bits", 0)}
STRING_804 = {"SoC": ("soc_pct", 2), "SoH": ("soh_pct", 2), "DoD": ("dod_pct", 2), "V": ("voltage_v", 3), "A": ("current_a", 2),
              "NCyc": ("cycle_count", 2), "CellVMin": ("cell_voltage_min_v", 4), "CellVMax": ("cell_voltage_max_v", 4),
              "CellVAvg": ("cell_voltage_avg_v", 4), "ModTmpMin": ("cell_temperature_min_c", 2),
              "ModTmpMax": ("cell_temperature_max_c", 2), "ModTmpAvg": ("cell_temperature_avg_c", 2),
              "NCellBal": ("balancing_cell_count", 0), "NMod": ("module_count", 0),
              "EvtVnd1": ("vendor_event1_bits", 0), "EvtVnd2": ("vendor_event2_bits", 0)}
MODULE_804 = {"ModSoC": ("soc_pct", 2), "ModSoH": ("soh_pct", 2), "ModCellVMin": ("cell_voltage_min_v", 4),
              "ModCellVMax": ("cell_voltage_max_v", 4), "ModCellVAvg": ("cell_voltage_avg_v", 4),
              "ModCellTmpMin": ("cell_temperature_min_c", 2), "ModCellTmpMax": ("cell_temperature_max_c", 2),
              "ModCellTmpAvg": ("cell_temperature_avg_c", 2), "ModNCell": ("cell_count", 0)}
MODULE_805 = {"SoC": ("soc_pct", 2), "SoH": ("soh_pct", 2), "DoD": ("dod_pct", 2), "V": ("voltage_v", 3), "NCyc": ("cycle_count", 2),
              "CellVMin": ("cell_voltage_min_v", 4), "CellVMax": ("cell_voltage_max_v", 4), "CellVAvg": ("cell_voltage_avg_v", 4),
              "CellTmpMin": ("cell_temperature_min_c", 2), "CellTmpMax": ("cell_temperature_max_c", 2),
              "CellTmpAvg": ("cell_temperature_avg_c", 2), "NCellBal": ("balancing_cell_count", 0), "NCell": ("cell_count", 0)}


class Rows:
    def __init__(self, root):
        self.root, self.rows, self.points = root, {}, 0

    def row(self, path):
        return self.rows.setdefault(path, {})

    def put(self, path, column, value):
        if value is not None:
            self.row(path)[column] = value
            self.points += 1

    def table(self, path, group, mapping):
        for name, (column, decimals) in mapping.items():
            self.put(path, column, cvalue(group, name, decimals))


def raw(group, name):
    p = group.points.get(name)
    return None if p is None else p.value


def cvalue(group, name, decimals):
    p = group.points.get(name)
    if p is None or p.value is None:
        return None
    v = p.cvalue
    return int(v) if decimals == 0 else round(float(v), decimals)


def number(word, i, count):
    return f"{word}{i:0{max(2, len(str(count)))}d}"


def extreme(parts):
    """A locator from (word, index, digits) parts; 0 or absent means not known and ends it."""
    path = []
    for word, i, digits in parts:
        if not i:
            break
        path.append(f"{word}{i:0{digits}d}")
    return "/".join(path) or None


def string_states(rows, path, st, con_fail, evt):
    if st is not None:
        rows.put(path, "contactor_state", "closed" if st & 2 else "failed" if con_fail in (6, 7) else "open")
        state = "disabled" if not st & 1 else "running" if st & 2 else "disconnected"
        if con_fail and not st & 2:
            state = "fault"
        rows.put(path, "operating_state", state)
    bits = (evt or 0) & EVT_RACK
    if con_fail is not None:
        rows.put(path, "connect_failure_reason", CON_FAIL.get(con_fail, "unknown"))
        bits |= CON_FAIL_BITS.get(con_fail, 0)
    if evt is not None or con_fail is not None:
        rows.put(path, "alarm_bits", bits)


def main(host, port, unit, root):
    d = client.SunSpecModbusClientDeviceTCP(slave_id=int(unit), ipaddr=host, ipport=int(port), timeout=5)
    d.scan()
    r = Rows(root)
    models = {k: v for k, v in d.models.items() if isinstance(k, int)}
    for mid in (713, 802, 803):
        for m in models.get(mid, []):
            r.table(root, m, BANK[mid])
    racks = {}
    for m in models.get(803, []):
        n = raw(m, "NStr") or len(m.groups.get("string", []))
        for i, s in enumerate(m.groups.get("string", []), 1):
            path = f"{root}/{number('rack', i, n)}"
            racks[i] = path
            r.table(path, s, STRING_803)
            string_states(r, path, raw(s, "StrSt"), raw(s, "StrConFail"), raw(s, "StrEvt1"))
            if raw(s, "StrDisRsn") is not None:
                r.put(path, "disable_reason", DISABLED.get(raw(s, "StrDisRsn"), "unknown"))
            r.put(path, "contactor_bits", raw(s, "StrConSt"))
    for m in models.get(802, []):
        evt = raw(m, "Evt1")
        if raw(m, "ChaSt") is not None:
            r.put(root, "charge_state", CHARGE.get(raw(m, "ChaSt"), "unknown"))
        if raw(m, "State") is not None:
            r.put(root, "operating_state", STATE.get(raw(m, "State"), "unknown"))
        if raw(m, "LocRemCtl") is not None:
            r.put(root, "control_location", {0: "remote", 1: "local"}.get(raw(m, "LocRemCtl"), "unknown"))
        if evt is not None:
            r.put(root, "alarm_bits", (evt & EVT_BANK) | {1: 1 << 26, 2: 1 << 25}.get(
                raw(models[713][0], "Sta") if 713 in models else None, 0))
        for side in ("Min", "Max"):
            r.put(root, f"cell_voltage_{side.lower()}_at",
                  extreme([("rack", raw(m, f"CellV{side}Str"), 2), ("module", raw(m, f"CellV{side}Mod"), 2)]))
    for m in models.get(803, []):
        for side in ("Min", "Max"):
            r.put(root, f"cell_temperature_{side.lower()}_at",
                  extreme([("rack", raw(m, f"ModTmp{side}Str"), 2), ("module", raw(m, f"ModTmp{side}Mod"), 2)]))
            for i, s in enumerate(m.groups.get("string", []), 1):
                r.put(racks[i], f"cell_voltage_{side.lower()}_at", extreme([("module", raw(s, f"StrCellV{side}Mod"), 2)]))
                r.put(racks[i], f"cell_temperature_{side.lower()}_at", extreme([("module", raw(s, f"StrModTmp{side}Mod"), 2)]))
        strings, closed = raw(m, "NStr"), raw(m, "NStrCon")
        if strings is not None and closed is not None:
            failed = 802 in models and (raw(models[802][0], "Evt1") or 0) & 1 << 20
            r.put(root, "contactor_state", "failed" if failed else "open" if closed == 0 else
                  "partial" if closed < strings else "closed")
    for m in models.get(804, []):
        i = raw(m, "Idx")
        path = racks.get(i) or f"{root}/{number('rack', i, 1)}"
        r.table(path, m, STRING_804)
        string_states(r, path, raw(m, "St"), raw(m, "ConFail"), raw(m, "Evt1"))
        r.put(path, "contactor_bits", raw(m, "ConSt"))
        for side in ("Min", "Max"):
            r.put(path, f"cell_voltage_{side.lower()}_at", extreme([("module", raw(m, f"CellV{side}Mod"), 2)]))
            r.put(path, f"cell_temperature_{side.lower()}_at", extreme([("module", raw(m, f"ModTmp{side}Mod"), 2)]))
        mods = m.groups.get("lithium_ion_string_module", [])
        for j, g in enumerate(mods, 1):
            module = f"{path}/{number('module', j, len(mods))}"
            r.table(module, g, MODULE_804)
            for side in ("Min", "Max"):
                r.put(module, f"cell_voltage_{side.lower()}_at", extreme([("cell", raw(g, f"ModCellV{side}Cell"), 3)]))
                r.put(module, f"cell_temperature_{side.lower()}_at", extreme([("cell", raw(g, f"ModCellTmp{side}Cell"), 3)]))
    for m in models.get(805, []):
        i, j = raw(m, "StrIdx"), raw(m, "ModIdx")
        path = f"{racks.get(i) or root + '/' + number('rack', i, 1)}/{number('module', j, 1)}"
        r.table(path, m, MODULE_805)
        cells = [g for name in m.groups for g in m.groups[name]]
        lists = {"cell_voltages_v": [cvalue(g, "CellV", 4) for g in cells],
                 "cell_temperatures_c": [cvalue(g, "CellTmp", 2) for g in cells],
                 "cells_balancing": [None if raw(g, "CellSt") is None else bool(raw(g, "CellSt") & 1) for g in cells]}
        for column, values in lists.items():
            if any(v is not None for v in values):
                r.row(path)[column] = values
                r.points += len(values)
        for column, name in (("cell_voltage_min_at", "CellVMinCell"), ("cell_voltage_max_at", "CellVMaxCell"),
                             ("cell_temperature_min_at", "CellTmpMinCell"), ("cell_temperature_max_at", "CellTmpMaxCell")):
            r.put(path, column, extreme([("cell", raw(m, name), 3)]))
    d.close()
    json.dump({"rows": r.rows, "points": r.points}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
