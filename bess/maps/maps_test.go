package maps

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bessd/bess"
)

// TestModelSizes compares the parsed facts with the sizes that the specification gives.
func TestModelSizes(t *testing.T) {
	models, err := Models()
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[uint16][2]uint16{ // registers with ID and L, registers of the group
		1: {68, 0}, 101: {52, 0}, 103: {52, 0}, 113: {62, 0}, 120: {28, 0}, 122: {46, 0}, 123: {26, 0}, 124: {26, 0}, 160: {10, 20},
		203: {107, 0}, 213: {126, 0}, 701: {155, 0}, 702: {52, 0}, 713: {9, 0}, 714: {20, 25}, 715: {9, 0},
		802: {64, 0}, 803: {28, 32}, 804: {48, 16}, 805: {44, 4},
	} {
		m := models[id]
		if m == nil {
			t.Errorf("model %d is missing", id)
			continue
		}
		group := uint16(0)
		if m.Group != nil {
			group = m.Group.Len
		}
		if m.Fixed != want[0] || group != want[1] {
			t.Errorf("model %d: %d registers and groups of %d, want %v", id, m.Fixed, group, want)
		}
		for _, p := range m.Points {
			if r := p.Reg(0); r.Type == TypeUnknown || r.Type != Text && r.Type.Registers() != p.Len {
				t.Errorf("model %d %s: type %s with %d registers", id, p.Name, p.Type, p.Len)
			}
		}
	}
}

// TestRules demands that every rule names points of its models and a column that the device's kind has.
func TestRules(t *testing.T) {
	models, err := Models()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[Place]bess.Kind{AtBank: bess.Bank, AtRack: bess.Rack, AtModule: bess.Module, AtPCS: bess.PCS, AtDC: bess.DC, AtMeter: bess.Meter}
	for id, r := range SunSpecRules() {
		m := models[id]
		if m == nil {
			t.Errorf("rules for model %d without facts", id)
			continue
		}
		for _, rule := range r.Rules {
			points, place := m.Points, r.Place
			if rule.Group {
				if m.Group == nil {
					t.Errorf("model %d has no group for %v", id, rule.Points)
					continue
				}
				points, place = m.Group.Points, r.GroupPlace
			}
			for _, name := range rule.Points {
				found := Find(points, name) != nil
				switch {
				case strings.HasPrefix(name, "802:"):
					found = Find(models[802].Points, name[4:]) != nil
				case strings.HasPrefix(name, "713:"):
					found = Find(models[713].Points, name[4:]) != nil
				case r.Place == AtMeter: // some meters call the line voltages PhVphAB, others PPVphAB
					for _, other := range []uint16{201, 203, 213} {
						found = found || Find(models[other].Points, name) != nil
					}
				}
				if !found {
					t.Errorf("model %d has no point %s", id, name)
				}
			}
			if rule.Op == Number && Find(points, rule.Points[0]) != nil {
				if sf := Find(points, rule.Points[0]).SF; sf != "" && Find(m.Points, sf) == nil {
					t.Errorf("model %d: scale factor %s of %s is not in the fixed part", id, sf, rule.Points[0])
				}
			}
			if rule.Ident != "" {
				continue
			}
			p := bess.PointByNum(rule.Column)
			if p == nil {
				t.Errorf("model %d %v: column %d", id, rule.Points, rule.Column)
				continue
			}
			if k, ok := kinds[place]; ok && !p.Kinds.Has(k) {
				t.Errorf("model %d %v: a %s has no column %s", id, rule.Points, k, p.Name)
			}
			want := map[bess.Type]Op{bess.Double: Number, bess.Int64: Number, bess.Enum: Choice, bess.Bits: Union, bess.Text: Path, bess.Floats: Array, bess.Bools: Flags}[p.Type]
			if rule.Op != want {
				t.Errorf("model %d %v: operation %d for column %s", id, rule.Points, rule.Op, p.Name)
			}
			if e := bess.EnumByName(p.Enum); e != nil {
				for _, c := range rule.Cases {
					if e.MemberName(c.Value) == "unknown" && c.Value != 0 {
						t.Errorf("model %d %v: %s has no code %d", id, rule.Points, p.Enum, c.Value)
					}
				}
			}
		}
	}
}

// TestAlarmNumbers ties the numbers in the rules to the vocabulary's names.
func TestAlarmNumbers(t *testing.T) {
	for bit, name := range map[uint8]string{
		alOverTemp: "over_temperature_alarm", alUnderTemp: "under_temperature_alarm", alOverVolt: "over_voltage_alarm", alUnderVolt: "under_voltage_alarm",
		alContactor: "contactor_error", alGroundFault: "ground_fault", alDoor: "door_open", alOther: "other_alarm", alWarning: "other_warning",
		alPrecharge: "precharge_failure", alFuse: "fuse_open", alInternal: "internal_fault", alSensor: "sensor_fault", alManual: "manual_shutdown",
		alGridOff: "grid_disconnect", alACOff: "ac_disconnect", alDCOff: "dc_disconnect", alGridOverV: "grid_over_voltage", alGridUnderV: "grid_under_voltage",
		alGridOverF: "grid_over_frequency", alGridUnderF: "grid_under_frequency", alOverCurr: "over_current_alarm", alArc: "arc_fault", alPF: "power_factor_low",
		alDerating: "derating_active",
	} {
		if got, ok := alarmBit(name); !ok || got != bit {
			t.Errorf("%s is bit %d, the rules say %d", name, got, bit)
		}
	}
	states := bess.EnumByName("operating_state")
	for code, name := range map[int64]string{opOff: "off", opSleeping: "sleeping", opInitializing: "initializing", opStandby: "standby", opRunning: "running",
		opThrottled: "throttled", opSocProtection: "soc_protection", opShuttingDown: "shutting_down", opDisconnected: "disconnected", opDisabled: "disabled",
		opMaintenance: "maintenance", opFault: "fault"} {
		if states.MemberName(code) != name {
			t.Errorf("operating_state %d is %s, the rules say %s", code, states.MemberName(code), name)
		}
	}
}

func TestBuiltIns(t *testing.T) {
	names := BuiltInNames()
	if len(names) == 0 {
		t.Fatal("no built-in maps")
	}
	for _, name := range names {
		m, err := BuiltIn(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(m.ID(), name+"@") {
			t.Errorf("%s calls itself %s", name, m.ID())
		}
		source, licence := m.Source()
		if source == "" || licence == "" || m.Tested() {
			t.Errorf("%s: source %q, licence %q, tested %v", name, source, licence, m.Tested())
		}
		if _, err := m.Layout("bank1"); err != nil {
			t.Error(err)
		}
	}
	if m, err := BuiltIn("nobody"); m != nil || err != nil {
		t.Errorf("%v %v", m, err)
	}
}

// TestCorpus loads testdata: *.good.yaml must load, *.bad.yaml must fail with the messages in its "# want:" lines.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Load(filepath.Base(file), data)
		if strings.HasSuffix(file, ".good.yaml") {
			if err != nil {
				t.Errorf("%s: %v", file, err)
			} else if _, err := m.Layout("bank1"); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s loads", file)
			continue
		}
		wants := 0
		for _, line := range strings.Split(string(data), "\n") {
			if want, ok := strings.CutPrefix(line, "# want: "); ok {
				wants++
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: no %q in\n%v", file, want, err)
				}
			}
		}
		if n := strings.Count(err.Error(), "\n") + 1; n != wants {
			t.Errorf("%s: %d messages, want %d:\n%v", file, n, wants, err)
		}
	}
}

func TestRepeats(t *testing.T) {
	data, err := os.ReadFile("testdata/repeats.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load("repeats", data)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.Layout("bank1")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(l.Devices); n != 1+2+2*3 {
		t.Fatalf("%d devices", n)
	}
	last := l.Devices[len(l.Devices)-1]
	if last.Path != "bank1/rack02/module03" || last.Parent != "bank1/rack02" || last.Kind != bess.Module {
		t.Errorf("last device: %+v", last)
	}
	if f := last.Fields[0]; f.Regs[0].Addr != 1000+1*500+2*50+2 || f.Count != 14 || f.Op != Array || f.Tier != Cells {
		t.Errorf("its cells: %+v", f)
	}
}

// FuzzLoad feeds arbitrary text to the loader: no panic, and what loads lays out within bounds.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Load("fuzz.yaml", data)
		if err != nil {
			return
		}
		l, err := m.Layout("bank1")
		if err != nil {
			return
		}
		if len(l.Devices) > maxMapDevices {
			t.Fatalf("%d devices", len(l.Devices))
		}
		for _, d := range l.Devices {
			for _, fl := range d.Fields {
				for _, r := range fl.Regs {
					if r.Len == 0 || int(r.Addr)+int(r.Len) > 1<<16 {
						t.Fatalf("register %d+%d", r.Addr, r.Len)
					}
				}
			}
		}
	})
}

// TestAlarmIdentity pins which bits of the models' event words are taken over as they are.
func TestAlarmIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		mask    uint64
		without []uint
	}{"802": {evt1Mask, []uint{27}}, "803 and 804": {strEvt1Mask, []uint{24, 27}}} {
		want := uint64(1<<30) - 1
		for _, b := range c.without {
			want &^= 1 << b
		}
		if c.mask != want {
			t.Errorf("%s: mask %#x, want %#x", name, c.mask, want)
		}
	}
}
