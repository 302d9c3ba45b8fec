package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"bessd/bess"
)

func (d *Decoder) decodeDevice(arm *field) (*bess.DeviceRecord, error) {
	rec := &bess.DeviceRecord{}
	var h head
	err := each(arm, func(f *field) (err error) {
		if known, err := h.take(f); known || err != nil {
			return err
		}
		switch f.num {
		case devCause:
			rec.Cause, err = f.text(maxText, "cause")
		case devParent:
			rec.Parent, err = f.text(maxText, "parent")
		case devEndpoint:
			rec.Endpoint, err = f.text(maxText, "endpoint")
		case devUnitID:
			err = f.number(&rec.UnitID, "unit_id")
		case devNotImplemented:
			var s string
			s, err = f.text(maxName, "not_implemented")
			rec.NotImplemented = append(rec.NotImplemented, s)
		case devIdentity:
			var k string
			var v field
			if k, v, err = entry(f, protowire.BytesType, "identity"); err == nil {
				if rec.Identity == nil {
					rec.Identity = map[string]string{}
				}
				rec.Identity[k] = ""
				if v.num != 0 {
					rec.Identity[k], err = v.text(maxText, "identity")
				}
			}
		case devNameplate:
			var k string
			var v field
			if k, v, err = entry(f, protowire.Fixed64Type, "nameplate"); err == nil {
				if rec.Nameplate == nil {
					rec.Nameplate = map[string]float64{}
				}
				rec.Nameplate[k] = math.Float64frombits(v.u)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if h.schema.num != 0 {
		if rec.Plan, err = d.plan(&h.schema); err != nil {
			return nil, err
		}
	}
	rec.Kind, rec.Epoch, rec.Rec, rec.TS = bess.Kind(h.kind), h.epoch, h.seq, h.ts
	if rec.Site, err = d.sites.get(&h.site, arm, "site"); err != nil {
		return nil, err
	}
	if rec.Device, err = d.devices.get(&h.device, arm, "device"); err != nil {
		return nil, err
	}
	return rec, nil
}

func (d *Decoder) decodeEvent(arm *field) (*bess.AgentEvent, error) {
	ev := &bess.AgentEvent{}
	var h head
	err := each(arm, func(f *field) (err error) {
		if known, err := h.take(f); known || err != nil {
			return err
		}
		switch f.num {
		case evPrevEpoch:
			err = f.number(&ev.PrevEpoch, "prev_epoch")
		case evVersion:
			ev.Version, err = f.text(maxText, "version")
		case evHost:
			ev.Host, err = f.text(maxText, "host")
		case evSpoolRecords:
			err = f.number(&ev.SpoolRecords, "spool_records")
		case evSpoolBytes:
			err = f.number(&ev.SpoolBytes, "spool_bytes")
		case evLastSeq:
			var l bess.DeviceSeq
			if l, err = d.deviceSeq(f); err == nil && l.Device != "" {
				ev.LastSeq = append(ev.LastSeq, l)
			}
		case evClockStep:
			if err = f.want(protowire.VarintType, "clock_step_us"); err == nil {
				ev.ClockStepUS = protowire.DecodeZigZag(f.u)
			}
		case evDropped:
			var r bess.DroppedRange
			if r, err = d.dropped(f); err == nil {
				ev.Dropped = append(ev.Dropped, r)
			}
		case evNote:
			ev.Note, err = f.text(maxText, "note")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	ev.Kind, ev.Epoch, ev.Rec, ev.TS = bess.EventKind(h.kind), h.epoch, h.seq, h.ts
	ev.Site, err = d.sites.get(&h.site, arm, "site")
	if err != nil {
		return nil, err
	}
	return ev, nil
}

// deviceSeq reads an entry of last_seq. One without a valid device path is given without a device: no scan of such a
// device is accepted, and the entries of all others must not be lost with it.
func (d *Decoder) deviceSeq(f *field) (l bess.DeviceSeq, err error) {
	var device field
	err = each(f, func(g *field) error {
		switch g.num {
		case seqDevice:
			return g.bytes(&device, "last_seq device")
		case seqSeq:
			return g.number(&l.Seq, "last_seq")
		}
		return nil
	})
	if err != nil {
		return l, err
	}
	if path, err := d.devices.get(&device, f, "device"); err == nil {
		l.Device = path
	}
	return l, nil
}

func (d *Decoder) dropped(f *field) (r bess.DroppedRange, err error) {
	var device field
	err = each(f, func(g *field) (err error) {
		switch g.num {
		case dropDevice:
			err = g.bytes(&device, "dropped device")
		case dropEpoch:
			err = g.number(&r.Epoch, "dropped epoch")
		case dropFirst:
			err = g.number(&r.FirstSeq, "dropped first_seq")
		case dropLast:
			err = g.number(&r.LastSeq, "dropped last_seq")
		case dropReason:
			r.Reason, err = g.text(maxName, "dropped reason")
		}
		return err
	})
	if err == nil {
		r.Device, err = d.devices.get(&device, f, "device")
	}
	return r, err
}

// each calls fn for every field of a message; unknown ones are fn's to ignore. It refuses more fields than a record may
// have.
func each(m *field, fn func(*field) error) error {
	if err := m.want(protowire.BytesType, "message"); err != nil {
		return err
	}
	r := m.sub()
	var f field
	for n := 0; ; n++ {
		ok, err := r.next(&f)
		if !ok || err != nil {
			return err
		}
		if n >= maxEntries {
			return f.bad("record", "more than %d fields", maxEntries)
		}
		if err := fn(&f); err != nil {
			return err
		}
	}
}

// entry reads one entry of a map field. Its value has num 0 when it is left out, which stands for the default.
func entry(f *field, typ protowire.Type, what string) (key string, value field, err error) {
	err = each(f, func(g *field) (err error) {
		switch g.num {
		case mapKey:
			key, err = g.text(maxName, what+" key")
		case mapValue:
			err = g.want(typ, what)
			value = *g
		}
		return err
	})
	return key, value, err
}
