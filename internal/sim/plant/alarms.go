package plant

// Event bits of SunSpec 802.Evt1, 803.StrEvt1 and 804.Evt1 that the plant raises.
const (
	EvtOverTempAlarm      uint32 = 1 << 1
	EvtOverTempWarning    uint32 = 1 << 2
	EvtUnderTempAlarm     uint32 = 1 << 3
	EvtUnderTempWarning   uint32 = 1 << 4
	EvtOverChargeAlarm    uint32 = 1 << 5
	EvtOverChargeWarning  uint32 = 1 << 6
	EvtOverDischAlarm     uint32 = 1 << 7
	EvtOverDischWarning   uint32 = 1 << 8
	EvtOverVoltAlarm      uint32 = 1 << 9
	EvtOverVoltWarning    uint32 = 1 << 10
	EvtUnderVoltAlarm     uint32 = 1 << 11
	EvtUnderVoltWarning   uint32 = 1 << 12
	EvtUnderSoCAlarm      uint32 = 1 << 13
	EvtUnderSoCWarning    uint32 = 1 << 14
	EvtOverSoCAlarm       uint32 = 1 << 15
	EvtOverSoCWarning     uint32 = 1 << 16
	EvtVoltageImbalance   uint32 = 1 << 17
	EvtTempImbalanceAlarm uint32 = 1 << 18
	EvtTempImbalance      uint32 = 1 << 19
	EvtContactorError     uint32 = 1 << 20
	EvtCurrentImbalance   uint32 = 1 << 24 // 802 only
)

// EvtAlarms are the bits of alarm severity, EvtWarnings those of warning severity.
const (
	EvtAlarms = EvtOverTempAlarm | EvtUnderTempAlarm | EvtOverChargeAlarm | EvtOverDischAlarm | EvtOverVoltAlarm |
		EvtUnderVoltAlarm | EvtUnderSoCAlarm | EvtOverSoCAlarm | EvtTempImbalanceAlarm | EvtContactorError
	EvtWarnings = EvtOverTempWarning | EvtUnderTempWarning | EvtOverChargeWarning | EvtOverDischWarning |
		EvtOverVoltWarning | EvtUnderVoltWarning | EvtUnderSoCWarning | EvtOverSoCWarning | EvtVoltageImbalance |
		EvtTempImbalance | EvtCurrentImbalance
	evtTrips = EvtOverTempAlarm | EvtOverVoltAlarm | EvtUnderVoltAlarm
)

// rackReading is what a rack's BMS judges, taken after a step.
type rackReading struct {
	cellMaxV, cellMinV float64
	modMaxC, modMinC   float64
	soc                float64 // 0..1
	overCharge         float64 // charge current over what is allowed, 0 when not charging
	overDischarge      float64
}

// alarmRule raises bit when value passes band.Set for delayS; an upper limit when
// Set > Clear, a lower one when Set < Clear.
type alarmRule struct {
	bit    uint32
	band   Band
	delayS float64
	value  func(*rackReading) float64
}

func alarmRules(c *Cell) []alarmRule {
	maxV := func(r *rackReading) float64 { return r.cellMaxV }
	minV := func(r *rackReading) float64 { return r.cellMinV }
	maxC := func(r *rackReading) float64 { return r.modMaxC }
	minC := func(r *rackReading) float64 { return r.modMinC }
	soc := func(r *rackReading) float64 { return r.soc * 100 }
	spreadV := func(r *rackReading) float64 { return r.cellMaxV - r.cellMinV }
	spreadC := func(r *rackReading) float64 { return r.modMaxC - r.modMinC }
	charge := func(r *rackReading) float64 { return r.overCharge }
	discharge := func(r *rackReading) float64 { return r.overDischarge }
	return []alarmRule{
		{EvtOverVoltWarning, c.OverVWarn, 20, maxV},
		{EvtOverVoltAlarm, c.OverVAlarm, 5, maxV},
		{EvtUnderVoltWarning, c.UnderVWarn, 20, minV},
		{EvtUnderVoltAlarm, c.UnderVAlarm, 5, minV},
		{EvtOverTempWarning, Band{50, 47}, 60, maxC},
		{EvtOverTempAlarm, Band{55, 50}, 10, maxC},
		{EvtUnderTempWarning, Band{5, 8}, 60, minC},
		{EvtUnderTempAlarm, Band{0, 3}, 10, minC},
		{EvtOverChargeWarning, Band{1.05, 1.03}, 20, charge},
		{EvtOverChargeAlarm, Band{1.10, 1.03}, 30, charge},
		{EvtOverDischWarning, Band{1.05, 1.03}, 20, discharge},
		{EvtOverDischAlarm, Band{1.10, 1.03}, 30, discharge},
		{EvtUnderSoCWarning, Band{5, 7}, 60, soc},
		{EvtUnderSoCAlarm, Band{2, 4}, 60, soc},
		{EvtOverSoCWarning, Band{98, 97}, 60, soc},
		{EvtOverSoCAlarm, Band{100.5, 99}, 60, soc},
		{EvtVoltageImbalance, Band{0.30, 0.20}, 20, spreadV},
		{EvtTempImbalance, Band{6, 5}, 60, spreadC},
		{EvtTempImbalanceAlarm, Band{10, 8}, 60, spreadC},
	}
}

// alarms keeps the on-delay of each rule and the bits that stand.
type alarms struct {
	bits    uint32
	pending []float64 // seconds beyond the limit, per rule
}

func (a *alarms) evaluate(rules []alarmRule, r *rackReading, dt float64) {
	if a.pending == nil {
		a.pending = make([]float64, len(rules))
	}
	for i := range rules {
		rule := &rules[i]
		v := rule.value(r)
		beyond, back := v >= rule.band.Set, v <= rule.band.Clear
		if rule.band.Set < rule.band.Clear {
			beyond, back = v <= rule.band.Set, v >= rule.band.Clear
		}
		switch {
		case beyond:
			if a.pending[i] += dt; a.pending[i] >= rule.delayS {
				a.bits |= rule.bit
			}
		case back:
			a.bits &^= rule.bit
			a.pending[i] = 0
		default:
			a.pending[i] = 0
		}
	}
}
