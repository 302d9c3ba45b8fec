package tables

import (
	"encoding/json"
	"slices"

	"bessd/bess"
)

type (
	device = bess.DeviceRecord
	event  = bess.AgentEvent
	letter = bess.DeadLetter
)

// identityKeys are the texts that a device tells about itself and that have columns of their own.
var identityKeys = [...]string{"manufacturer", "model", "options", "firmware_version", "serial_number", "battery_type", "warranty_end_date", "port_type", "port_name", "role"}

func deviceLayout() layout[device] {
	l := layout[device]{
		timeField("ts", "when the agent said so, UTC", func(r *device) int64 { return r.TS }),
		intField("epoch", "one run of the agent", func(r *device) int64 { return r.Epoch }),
		intField("rec", "counts the agent's records within the epoch", func(r *device) int64 { return r.Rec }),
		textField("site", "site id", func(r *device) string { return r.Site }),
		textField("device", "device path inside the site", func(r *device) string { return r.Device }),
		textField("kind", "kind of device", func(r *device) string { return r.Kind.String() }),
		textField("cause", "start, change or hourly", func(r *device) string { return r.Cause }),
		nullText("parent", "device path of the parent", func(r *device) string { return r.Parent }),
		nullText("endpoint", "host:port", func(r *device) string { return r.Endpoint }),
		intField("unit_id", "Modbus unit", func(r *device) int64 { return r.UnitID }),
		nullText("plan", "plan of the scans from here on", func(r *device) string {
			if r.Plan == nil {
				return ""
			}
			return r.Plan.ID()
		}),
		nullText("map", "map and version", func(r *device) string {
			if r.Plan == nil {
				return ""
			}
			return r.Plan.Map
		}),
		doubleMap("periods_s", "s; the period of each column of the plan: how long one value counts", periods),
		textList("not_implemented", "columns that the map knows and the device does not have", func(r *device) []string { return r.NotImplemented }),
	}
	for _, key := range identityKeys {
		l = append(l, nullText(key, "as the device tells it", func(r *device) string { return r.Identity[key] }))
	}
	l = append(l, textList("identity_other", "key=value of what else the device tells about itself", func(r *device) []string {
		var out []string
		for k, v := range r.Identity {
			if !slices.Contains(identityKeys[:], k) {
				out = append(out, k+"="+v)
			}
		}
		slices.Sort(out)
		return out
	}))
	var rated []string
	for _, p := range bess.Points() {
		if p.Class != bess.Nameplate {
			continue
		}
		rated = append(rated, p.Name)
		l = append(l, nullDouble(p.Name, p.Unit, func(r *device) (float64, bool) { v, ok := r.Nameplate[p.Name]; return v, ok }))
	}
	return append(l, doubleMap("nameplate_other", "rated values without a column", func(r *device) (keys []string, values []float64) {
		for k := range r.Nameplate {
			if !slices.Contains(rated, k) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			values = append(values, r.Nameplate[k])
		}
		return keys, values
	}))
}

// periods names the period of every column of a device's plan, derived columns included: these are written to telemetry
// under the same plan.
func periods(r *device) (keys []string, seconds []float64) {
	p := r.Plan
	if p == nil {
		return nil, nil
	}
	if d, err := bess.NewDeriver(p); err == nil {
		p = d.Plan()
	}
	seen := map[string]bool{}
	for slot := range p.Slots() {
		name := p.SlotName(slot)
		if seen[name] { // an extra point could carry a column's name
			continue
		}
		seen[name] = true
		keys, seconds = append(keys, name), append(seconds, p.Periods[p.SlotTier(slot)].Seconds())
	}
	return keys, seconds
}

func eventLayout() layout[event] {
	return layout[event]{
		timeField("ts", "when the agent said so, UTC", func(r *event) int64 { return r.TS }),
		intField("epoch", "one run of the agent", func(r *event) int64 { return r.Epoch }),
		intField("rec", "counts the agent's records within the epoch", func(r *event) int64 { return r.Rec }),
		textField("site", "site id", func(r *event) string { return r.Site }),
		textField("event", "start, stop, heartbeat, clock_step or dropped", func(r *event) string { return r.Kind.String() }),
		nullInt("prev_epoch", "start: the epoch before, if known", func(r *event) (int64, bool) { return r.PrevEpoch, r.PrevEpoch != 0 }),
		nullText("version", "of the agent", func(r *event) string { return r.Version }),
		nullText("host", "of the agent", func(r *event) string { return r.Host }),
		intField("spool_records", "records that wait to be sent", func(r *event) int64 { return r.SpoolRecords }),
		intField("spool_bytes", "bytes that wait to be sent", func(r *event) int64 { return r.SpoolBytes }),
		doubleMap("last_seq", "heartbeat: last seq handed out per device", func(r *event) (keys []string, values []float64) {
			for i, d := range r.LastSeq {
				if i > 0 && d.Device == r.LastSeq[i-1].Device {
					continue
				}
				keys, values = append(keys, d.Device), append(values, float64(d.Seq)) // exact below 2^53
			}
			return keys, values
		}),
		nullInt("clock_step_us", "us; clock_step: how far the wall clock moved", func(r *event) (int64, bool) { return r.ClockStepUS, r.Kind == bess.EventClockStep }),
		nullText("dropped", "JSON: scans that the agent gave up, [{device, epoch, first_seq, last_seq, reason}]", func(r *event) string {
			if len(r.Dropped) == 0 {
				return ""
			}
			type dropped struct {
				Device   string `json:"device"`
				Epoch    int64  `json:"epoch"`
				FirstSeq int64  `json:"first_seq"`
				LastSeq  int64  `json:"last_seq"`
				Reason   string `json:"reason"`
			}
			list := make([]dropped, len(r.Dropped))
			for i, d := range r.Dropped {
				list[i] = dropped(d)
			}
			b, err := json.Marshal(list)
			if err != nil { // texts and numbers only: cannot happen
				return ""
			}
			return string(b)
		}),
		nullText("note", "", func(r *event) string { return r.Note }),
	}
}

func letterLayout() layout[letter] {
	l := layout[letter]{
		nullTime("record_ts", "timestamp of the Kafka record, UTC", func(r *letter) int64 { return r.RecordTime }),
		intField("kafka_partition", "", func(r *letter) int64 { return int64(r.Partition) }),
		intField("generation", "of the topic", func(r *letter) int64 { return r.Generation }),
		intField("kafka_offset", "", func(r *letter) int64 { return r.Offset }),
		textField("reason", "decode, unknown_arm, identity, clock or conflict", func(r *letter) string { return r.Reason }),
		nullText("detail", "for people", func(r *letter) string { return r.Detail }),
		nullText("site", "site id, if known", func(r *letter) string { return r.Site }),
		nullText("device", "device path, if known", func(r *letter) string { return r.Device }),
	}
	return append(l, binaryField("payload", "the message's value, whole", func(r *letter) []byte { return r.Payload }))
}
