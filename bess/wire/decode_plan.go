package wire

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"bessd/bess"
)

// plan finds the plan of a schema block, or parses the block.
func (d *Decoder) plan(f *field) (*bess.Plan, error) {
	if p := d.plans[string(f.b)]; p != nil {
		return p, nil
	}
	p, err := parsePlan(f)
	if err != nil {
		return nil, err
	}
	if len(d.plans) >= maxPlans || d.planBytes+len(f.b) > maxPlanBytes {
		d.plans, d.planBytes = map[string]*bess.Plan{}, 0
	}
	d.plans[string(f.b)] = p
	d.planBytes += len(f.b)
	return p, nil
}

func parsePlan(schema *field) (*bess.Plan, error) {
	r := schema.sub()
	var p bess.Plan
	var tiers, f field
	slots := 0
	for {
		ok, err := r.next(&f)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		switch f.num {
		case schemaMap:
			p.Map, err = f.text(maxName, "map")
		case schemaPeriods:
			p.Periods, err = periods(&f, p.Periods)
		case schemaColumns:
			p.Columns, err = columns(&f, p.Columns, "columns", &slots)
		case schemaTexts:
			p.Texts, err = columns(&f, p.Texts, "texts", &slots)
		case schemaLists:
			p.Lists, err = columns(&f, p.Lists, "lists", &slots)
		case schemaExtra:
			if slots++; slots > MaxSlots {
				return nil, f.bad("schema", "more than %d slots", MaxSlots)
			}
			var e bess.ExtraColumn
			e, err = extra(&f)
			p.Extra = append(p.Extra, e)
		case schemaTiers:
			err = f.bytes(&tiers, "tiers")
		}
		if err != nil {
			return nil, err
		}
	}
	if tiers.num != 0 {
		if err := setTiers(&p, &tiers); err != nil {
			return nil, err
		}
	}
	plan, err := bess.NewPlan(p)
	if err != nil {
		return nil, &DecodeError{Offset: schema.at, What: "schema", Err: err}
	}
	return plan, nil
}

func periods(f *field, have []time.Duration) ([]time.Duration, error) {
	if err := f.want(protowire.BytesType, "periods"); err != nil {
		return nil, err
	}
	v := varints{b: f.b}
	for v.more() {
		u, ok := v.next()
		if !ok || u > math.MaxInt64/1000 || len(have) >= MaxTiers {
			return nil, f.bad("periods", "not a duration, or more than %d", MaxTiers)
		}
		have = append(have, time.Duration(u)*time.Microsecond)
	}
	return have, nil
}

func columns(f *field, have []bess.Column, what string, slots *int) ([]bess.Column, error) {
	if err := f.want(protowire.BytesType, what); err != nil {
		return nil, err
	}
	if have != nil {
		return nil, f.bad(what, "stands twice")
	}
	v := varints{b: f.b}
	num := uint64(0)
	for v.more() {
		u, ok := v.next()
		num += u >> 4
		if !ok || u>>4 > math.MaxUint16 || num > math.MaxUint16 {
			return nil, f.bad(what, "not a vocabulary number")
		}
		if *slots++; *slots > MaxSlots {
			return nil, f.bad(what, "more than %d slots", MaxSlots)
		}
		have = append(have, bess.Column{Num: bess.Num(num), Decimals: int8(u & 15)})
	}
	return have, nil
}

func extra(f *field) (e bess.ExtraColumn, err error) {
	if err := f.want(protowire.BytesType, "extra"); err != nil {
		return e, err
	}
	r := f.sub()
	var g field
	for {
		ok, err := r.next(&g)
		if err != nil {
			return e, err
		}
		if !ok {
			return e, nil
		}
		switch g.num {
		case extraName:
			e.Name, err = g.text(maxName, "extra name")
		case extraDecimals:
			var d uint8
			d, err = g.small("extra decimals")
			e.Decimals = int8(min(d, math.MaxInt8)) // NewPlan knows the limit
		}
		if err != nil {
			return e, err
		}
	}
}

// setTiers spreads the runs over the slots; slots beyond the last run are of tier 0.
func setTiers(p *bess.Plan, f *field) error {
	v := varints{b: f.b}
	slot := 0
	for v.more() {
		u, ok := v.next()
		run := u >> 6
		if !ok || run > uint64(p.Slots()-slot) {
			return f.bad("tiers", "more slots than the plan has")
		}
		for range run {
			setTier(p, slot, uint8(u&63))
			slot++
		}
	}
	return nil
}

func setTier(p *bess.Plan, slot int, tier uint8) {
	for _, part := range [3][]bess.Column{p.Columns, p.Texts, p.Lists} {
		if slot < len(part) {
			part[slot].Tier = tier
			return
		}
		slot -= len(part)
	}
	p.Extra[slot].Tier = tier
}
