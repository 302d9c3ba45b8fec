package maps

import "bessd/bess"

// SunSpecVersion counts changes of the rules in this file; it is part of the map's name.
const SunSpecVersion = 1

// Place says which device a point of a SunSpec model describes.
type Place uint8

// Places. Racks and modules lie below the root unless the unit serves a single one of them, see agent/sunspec.
const (
	AtRoot   Place = iota // the root, whatever it is
	AtBank                // 802, 803, 713, 124
	AtRack                // 804, or the string of 803 by its number
	AtModule              // 805, or the module of 804 by its number
	AtPCS                 // 10x, 11x, 120-123, 701, 702, 714
	AtDC                  // port of 714, module of 160
	AtMeter               // 20x, 21x
)

// Rule puts a point of a model onto a column.
type Rule struct {
	Group  bool     // the points are of the repeating group
	Points []string // operands, "802:Evt1" of another model of the unit; scale factors are found by themselves
	Column bess.Num
	Ident  string
	Op     Op
	Cases  []Case
	Else   int64
	Names  []Name
	Words  []string
	Exp    int8 // further power of ten: -2 for percent onto 1
	Rank   uint8
}

// ModelRules says where a model belongs and what its points mean.
type ModelRules struct {
	Place      Place
	GroupPlace Place
	Tier       Tier
	Rank       uint8 // nearness: lower wins
	Rules      []Rule
}

func num(p string, c bess.Num) Rule     { return Rule{Points: []string{p}, Column: c} }
func group(p string, c bess.Num) Rule   { return Rule{Group: true, Points: []string{p}, Column: c} }
func ident(p, key string) Rule          { return Rule{Points: []string{p}, Ident: key, Op: Identity} }
func percent(p string, c bess.Num) Rule { return Rule{Points: []string{p}, Column: c, Exp: -2} }

func path(c bess.Num, words []string, points ...string) Rule {
	return Rule{Points: points, Column: c, Op: Path, Words: words}
}

// raw keeps a bit field as it is.
func raw(p string, c bess.Num) Rule {
	return Rule{Points: []string{p}, Column: c, Op: Union, Cases: []Case{{When: []Cond{{Op: NotZero}}, Copy: 1<<63 - 1}}}
}

func (r Rule) inGroup() Rule       { r.Group = true; return r }
func (r Rule) ranked(n uint8) Rule { r.Rank = n; return r }

func choice(c bess.Num, points []string, cases []Case, orElse int64) Rule {
	return Rule{Points: points, Column: c, Op: Choice, Cases: cases, Else: orElse}
}

// codes turns a table raw -> code into cases of register reg.
func codes(reg uint8, table ...[2]int64) []Case {
	cases := make([]Case, len(table))
	for i, t := range table {
		cases[i] = Case{When: []Cond{{Op: Equals, Reg: reg, Arg: uint64(t[0])}}, Value: t[1]}
	}
	return cases
}

// bit makes cases of register reg: when bit b is set, the alarm bits hold.
func bit(reg uint8, b uint, alarms ...uint) Case {
	var v int64
	for _, a := range alarms {
		v |= 1 << a
	}
	return Case{When: []Cond{{Op: AnyBit, Reg: reg, Arg: 1 << b}}, Value: v}
}

func value(reg uint8, raw uint64, alarm uint) Case {
	return Case{When: []Cond{{Op: Equals, Reg: reg, Arg: raw}}, Value: 1 << alarm}
}

// Codes of enum tables and alarm bits that the rules name, see enums.tsv.
const (
	opUnknown, opOff, opSleeping, opInitializing, opStandby, opRunning, opThrottled = 0, 1, 2, 3, 4, 5, 6
	opSocProtection, opShuttingDown, opDisconnected, opDisabled, opMaintenance      = 7, 8, 9, 10, 11
	opFault                                                                         = 12
	conUnknown, conOpen, conPrecharging, conClosed, conPartial, conFailed           = 0, 1, 2, 3, 4, 5

	alOverTemp, alUnderTemp, alOverVolt, alUnderVolt                 = 1, 3, 9, 11
	alContactor, alFan, alGroundFault, alDoor, alOther, alWarning    = 20, 21, 22, 23, 25, 26
	alPrecharge, alFuse, alInternal, alSensor                        = 34, 35, 36, 37
	alManual, alGridOff, alACOff, alDCOff                            = 48, 49, 50, 51
	alGridOverV, alGridUnderV, alGridOverF, alGridUnderF, alOverCurr = 52, 53, 54, 55, 56
	alArc, alPF, alDerating                                          = 57, 58, 60
	evt1Mask                                                         = (1<<30 - 1) &^ (1 << 27)
	strEvt1Mask                                                      = evt1Mask &^ (1 << 24)
)

// SunSpecRules gives the rules of every model that bessd maps, by model id. The source is the vocabulary's list of
// SunSpec points with its state and alarm tables.
func SunSpecRules() map[uint16]ModelRules {
	rules := map[uint16]ModelRules{
		1: {Place: AtRoot, Tier: Nameplate, Rules: []Rule{
			ident("Mn", "manufacturer"), ident("Md", "model"), ident("Opt", "options"), ident("Vr", "firmware_version"), ident("SN", "serial_number"),
		}},
		120: {Place: AtPCS, Tier: Nameplate, Rank: 2, Rules: []Rule{
			num("WRtg", bess.NumActivePowerRatedW), num("VARtg", bess.NumApparentPowerRatedVa),
			num("MaxChaRte", bess.NumChargePowerRatedW), num("MaxDisChaRte", bess.NumDischargePowerRatedW),
		}},
		122: {Place: AtPCS, Tier: Slow, Rank: 2, Rules: []Rule{
			num("ActWh", bess.NumEnergyExportedWh), num("Ris", bess.NumInsulationResistanceOhm),
			choice(bess.NumGridState, []string{"ECPConn"}, []Case{bitCode(1, 2), bitCode(0, 1)}, 0),
		}},
		123: {Place: AtPCS, Tier: Slow, Rules: []Rule{num("WMaxLimPct", bess.NumActivePowerLimitPct)}},
		124: {Place: AtBank, Tier: Fast, Rank: 4, Rules: []Rule{
			num("ChaState", bess.NumSocPct), num("InBatV", bess.NumVoltageV), num("WChaMax", bess.NumChargePowerLimitW),
			num("MinRsvPct", bess.NumSocReserveMinPct), choice(bess.NumChargeState, []string{"ChaSt"}, same(1, 7), 0),
		}},
		160: {Place: AtPCS, GroupPlace: AtDC, Tier: Fast, Rank: 2, Rules: []Rule{
			group("DCA", bess.NumCurrentA), group("DCV", bess.NumVoltageV), group("DCW", bess.NumPowerW),
			group("DCWH", bess.NumEnergyDischargedWh), group("Tmp", bess.NumTemperatureC),
			choice(bess.NumOperatingState, []string{"DCSt"}, codes(0, [2]int64{1, opOff}, [2]int64{2, opSleeping}, [2]int64{3, opInitializing}, [2]int64{4, opRunning},
				[2]int64{5, opThrottled}, [2]int64{6, opShuttingDown}, [2]int64{7, opFault}, [2]int64{8, opStandby}, [2]int64{9, opMaintenance}), 0).inGroup(),
			{Group: true, Points: []string{"IDStr"}, Ident: "port_name", Op: Identity},
		}},
		701: {Place: AtPCS, Tier: Fast, Rank: 0, Rules: rules701()},
		702: {Place: AtPCS, Tier: Nameplate, Rank: 0, Rules: []Rule{
			num("WMaxRtg", bess.NumActivePowerRatedW), num("VAMaxRtg", bess.NumApparentPowerRatedVa),
			num("WChaRteMaxRtg", bess.NumChargePowerRatedW), num("WDisChaRteMaxRtg", bess.NumDischargePowerRatedW),
			num("WChaRteMax", bess.NumChargePowerLimitW), num("WDisChaRteMax", bess.NumDischargePowerLimitW),
		}},
		713: {Place: AtBank, Tier: Fast, Rank: 3, Rules: []Rule{
			num("SoC", bess.NumSocPct), num("SoH", bess.NumSohPct), num("WHAvail", bess.NumEnergyAvailableWh), num("WHRtg", bess.NumEnergyRatedWh),
			{Points: []string{"Sta"}, Column: bess.NumAlarmBits, Op: Union, Cases: []Case{value(0, 1, alWarning), value(0, 2, alOther)}},
		}},
		714: {Place: AtPCS, GroupPlace: AtDC, Tier: Fast, Rank: 1, Rules: rules714()},
		715: {Place: AtRoot, Tier: Fast, Rank: 2, Rules: []Rule{
			num("DERHb", bess.NumHeartbeat), choice(bess.NumControlLocation, []string{"LocRemCtl"}, codes(0, [2]int64{0, 1}, [2]int64{1, 2}), 0),
		}},
		802: {Place: AtBank, Tier: Fast, Rank: 0, Rules: rules802()},
		803: {Place: AtBank, GroupPlace: AtRack, Tier: Fast, Rank: 1, Rules: rules803()},
		804: {Place: AtRack, GroupPlace: AtModule, Tier: Slow, Rank: 0, Rules: rules804()},
		805: {Place: AtModule, GroupPlace: AtModule, Tier: Cells, Rank: 0, Rules: rules805()},
	}
	for _, id := range []uint16{101, 102, 103, 111, 112, 113} {
		rules[id] = ModelRules{Place: AtPCS, Tier: Fast, Rank: 1, Rules: rules103()}
	}
	for _, id := range []uint16{201, 202, 203, 204, 211, 212, 213, 214} {
		rules[id] = ModelRules{Place: AtMeter, Tier: Fast, Rank: 0, Rules: rules203()}
	}
	return rules
}

// bitCode is a Case of a Choice: bit b of register 0 gives code.
func bitCode(b uint, code int64) Case {
	return Case{When: []Cond{{Op: AnyBit, Arg: 1 << b}}, Value: code}
}

// same maps raw values from first to last onto themselves.
func same(first, last int64) []Case {
	var cases []Case
	for v := first; v <= last; v++ {
		cases = append(cases, codes(0, [2]int64{v, v})...)
	}
	return cases
}

// rackStates are the cases of operating_state of a rack: register 0 is St, 1 is ConFail.
func rackStates() []Case {
	return []Case{
		{When: []Cond{{Op: NoBit, Arg: 2}, {Op: NotZero, Reg: 1}}, Value: opFault}, // contactor open for a reason
		{When: []Cond{{Op: NoBit, Arg: 1}}, Value: opDisabled},
		{When: []Cond{{Op: NoBit, Arg: 2}}, Value: opDisconnected},
		{When: []Cond{{Op: AnyBit, Arg: 2}}, Value: opRunning},
	}
}

// rackContactors are the cases of contactor_state of a rack: registers St, ConFail, ConSt. A failure that the device still
// names although the contactors are closed is one of the past.
func rackContactors() []Case {
	return []Case{
		{When: []Cond{{Op: AnyBit, Arg: 2}}, Value: conClosed},
		{When: []Cond{{Op: Equals, Reg: 1, Arg: 6}}, Value: conFailed}, {When: []Cond{{Op: Equals, Reg: 1, Arg: 7}}, Value: conFailed},
		{When: []Cond{{Op: NoBit, Arg: 2}}, Value: conOpen},
		{When: []Cond{{Op: IsNull}, {Op: NotZero, Reg: 2}}, Value: conClosed}, {When: []Cond{{Op: IsNull}, {Op: Equals, Reg: 2}}, Value: conOpen},
	}
}

// rackAlarms are the cases of alarm_bits of a rack: register 0 is Evt1, 1 is ConFail.
func rackAlarms() []Case {
	return []Case{
		{When: []Cond{{Op: AnyBit, Arg: strEvt1Mask}}, Copy: strEvt1Mask},
		value(1, 2, alGroundFault), value(1, 5, alFuse), value(1, 6, alContactor), value(1, 7, alPrecharge), value(1, 8, alOther),
	}
}
