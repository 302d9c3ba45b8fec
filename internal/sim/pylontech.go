package sim

import (
	"math"

	"bessd/internal/sim/plant"
)

// The Pylontech Powercube M2 map, system registers only. Facts: addresses, widths and
// scales as OpenEMS reads them (PylontechPowercubeM2BatteryImpl, openems@0e4ea88); what
// the source leaves open is decided here and marked. Not checked on hardware.
const (
	pylInfo      = 0x1000
	pylInfoLen   = 0x10
	pylSystem    = 0x1100
	pylSystemLen = 0x49
)

// pylontechSegments builds the two register ranges of a bank. Registers between those
// named read as 0.
func pylontechSegments(bank int) func(*view) []segment {
	return func(v *view) []segment {
		b, sum := v.site.Banks[bank], &v.banks[bank]
		info, sys := make([]uint16, pylInfoLen), make([]uint16, pylSystemLen)
		info[0x0A] = 0x0100 // version
		info[0x0C] = uint16(len(b.Racks))
		u16 := func(addr int, x float64) { sys[addr-pylSystem] = uint16(min(max(math.Round(x), 0), 65535)) }
		i16 := func(addr int, x float64) {
			sys[addr-pylSystem] = uint16(int16(min(max(math.Round(x), -32768), 32767)))
		}
		i32 := func(addr int, x float64) {
			n := uint32(int32(math.Round(x)))
			sys[addr-pylSystem], sys[addr-pylSystem+1] = uint16(n>>16), uint16(n)
		}
		sys[0], sys[1], sys[2] = pylontechBits(b)
		u16(0x1103, b.VoltageV*10)
		i32(0x1104, v.sign*b.CurrentA*100) // sign not told by the source
		i16(0x1106, sum.ModuleC.Mean*10)
		u16(0x1107, b.SoC*100)
		u16(0x1108, b.Cycles)
		u16(0x1109, b.MaxVoltageV()*10)
		i32(0x110A, b.ChargeMaxA*100)
		u16(0x110C, b.MinVoltageV()*10)
		i32(0x110D, b.DisMaxA*100)
		if b.State == plant.BankConnected {
			sys[0x0F] = 3 // main contactors; bit meaning not told by the source
		}
		u16(0x1110, sum.CellV.Max.Value*1000)
		u16(0x1111, sum.CellV.Min.Value*1000)
		i16(0x1114, sum.CellC.Max.Value*10)
		i16(0x1115, sum.CellC.Min.Value*10)
		u16(0x1118, sum.ModuleV.Max.Value*100)
		u16(0x1119, sum.ModuleV.Min.Value*100)
		i16(0x111C, sum.ModuleC.Max.Value*10)
		i16(0x111D, sum.ModuleC.Min.Value*10)
		u16(0x1120, b.SoH*100)
		i32(0x1123, b.RatedWh*b.SoH) // meaning not settled by the source: full capacity here
		u16(0x1148, 2000)            // insulation, kOhm
		return []segment{{pylInfo, info}, {pylSystem, sys}}
	}
}

// pylontechBits are the words status, protection and warning. The bits of the last two
// are not told by the source: the low and high half of the SunSpec events stand in.
func pylontechBits(b *plant.Bank) (status, protection, warning uint16) {
	set := func(on bool, bit int) {
		if on {
			status |= 1 << bit
		}
	}
	alarms, warnings := b.Evt1&plant.EvtAlarms, b.Evt1&plant.EvtWarnings
	set(b.State == plant.BankFault, 3)
	set(alarms&(plant.EvtOverChargeAlarm|plant.EvtOverDischAlarm) != 0, 4)
	set(alarms&(plant.EvtOverVoltAlarm|plant.EvtUnderVoltAlarm) != 0, 5)
	set(alarms&(plant.EvtOverTempAlarm|plant.EvtUnderTempAlarm) != 0, 6)
	set(warnings&(plant.EvtOverVoltWarning|plant.EvtUnderVoltWarning|plant.EvtVoltageImbalance) != 0, 7)
	set(warnings&(plant.EvtOverChargeWarning|plant.EvtOverDischWarning|plant.EvtCurrentImbalance) != 0, 8)
	set(warnings&(plant.EvtOverTempWarning|plant.EvtUnderTempWarning|plant.EvtTempImbalance) != 0, 9)
	charging, discharging := b.Charge == plant.ChargeCharging, b.Charge == plant.ChargeDischarging
	set(!charging && !discharging && b.State == plant.BankConnected, 10)
	set(charging, 11)
	set(discharging, 12)
	return status, uint16(alarms | alarms>>16), uint16(warnings | warnings>>16)
}
