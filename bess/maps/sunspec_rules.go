package maps

import "bessd/bess"

func rules802() []Rule {
	rackModule := []string{"rack%02d", "module%02d"}
	return []Rule{
		num("SoC", bess.NumSocPct), num("SoH", bess.NumSohPct), num("DoD", bess.NumDodPct), num("NCyc", bess.NumCycleCount),
		num("V", bess.NumVoltageV), num("A", bess.NumCurrentA), num("W", bess.NumPowerW),
		num("CellVMax", bess.NumCellVoltageMaxV), num("CellVMin", bess.NumCellVoltageMinV), num("CellVAvg", bess.NumCellVoltageAvgV),
		path(bess.NumCellVoltageMaxAt, rackModule, "CellVMaxStr", "CellVMaxMod"),
		path(bess.NumCellVoltageMinAt, rackModule, "CellVMinStr", "CellVMinMod"),
		num("AChaMax", bess.NumChargeCurrentLimitA), num("ADisChaMax", bess.NumDischargeCurrentLimitA),
		num("VMax", bess.NumChargeVoltageLimitV), num("VMin", bess.NumDischargeVoltageLimitV),
		num("SoCMin", bess.NumSocLimitMinPct), num("SoCMax", bess.NumSocLimitMaxPct),
		num("SoCRsvMin", bess.NumSocReserveMinPct), num("SocRsvMax", bess.NumSocReserveMaxPct),
		num("WHRtg", bess.NumEnergyRatedWh), num("AHRtg", bess.NumCapacityRatedAh),
		num("WChaRteMax", bess.NumChargePowerRatedW), num("WDisChaRteMax", bess.NumDischargePowerRatedW),
		choice(bess.NumOperatingState, []string{"State"}, codes(0, [2]int64{1, opDisconnected}, [2]int64{2, opInitializing}, [2]int64{3, opRunning},
			[2]int64{4, opStandby}, [2]int64{5, opSocProtection}, [2]int64{6, opShuttingDown}, [2]int64{99, opFault}), opUnknown),
		choice(bess.NumChargeState, []string{"ChaSt"}, same(1, 7), 0),
		// Only where there is no 803; its rule is nearer, see rules803.
		choice(bess.NumContactorState, []string{"State", "Evt1"}, append([]Case{{When: []Cond{{Op: AnyBit, Reg: 1, Arg: 1 << alContactor}}, Value: conFailed}},
			codes(0, [2]int64{1, conOpen}, [2]int64{3, conClosed})...), conUnknown).ranked(5),
		choice(bess.NumControlLocation, []string{"LocRemCtl"}, codes(0, [2]int64{0, 1}, [2]int64{1, 2}), 0),
		num("StateVnd", bess.NumVendorStateCode), num("Hb", bess.NumHeartbeat),
		{Points: []string{"Evt1", "713:Sta"}, Column: bess.NumAlarmBits, Op: Union, Cases: []Case{
			{When: []Cond{{Op: AnyBit, Arg: evt1Mask}}, Copy: evt1Mask}, value(1, 1, alWarning), value(1, 2, alOther)}},
		raw("EvtVnd1", bess.NumVendorEvent1Bits), raw("EvtVnd2", bess.NumVendorEvent2Bits),
		{Points: []string{"Typ"}, Ident: "battery_type", Op: Choice, Else: None, Names: []Name{{1, "lead_acid"}, {2, "nickel_metal_hydride"}, {3, "nickel_cadmium"},
			{4, "lithium_ion"}, {5, "carbon_zinc"}, {6, "zinc_chloride"}, {7, "alkaline"}, {8, "rechargeable_alkaline"}, {9, "sodium_sulfur"}, {10, "flow"}, {99, "other"}}},
		{Points: []string{"WarrDt"}, Ident: "warranty_end_date", Op: Date},
	}
}

func rules803() []Rule {
	rackModule := []string{"rack%02d", "module%02d"}
	module := []string{"module%02d"}
	rules := []Rule{
		num("NStr", bess.NumRackCount), num("NStrCon", bess.NumRackConnectedCount),
		num("ModTmpMax", bess.NumCellTemperatureMaxC), num("ModTmpMin", bess.NumCellTemperatureMinC), num("ModTmpAvg", bess.NumCellTemperatureAvgC),
		path(bess.NumCellTemperatureMaxAt, rackModule, "ModTmpMaxStr", "ModTmpMaxMod"),
		path(bess.NumCellTemperatureMinAt, rackModule, "ModTmpMinStr", "ModTmpMinMod"),
		num("StrVMax", bess.NumRackVoltageMaxV), num("StrVMin", bess.NumRackVoltageMinV),
		num("StrAMax", bess.NumRackCurrentMaxA), num("StrAMin", bess.NumRackCurrentMinA), num("NCellBal", bess.NumBalancingCellCount),
		choice(bess.NumContactorState, []string{"NStrCon", "NStr", "802:Evt1"}, []Case{
			{When: []Cond{{Op: AnyBit, Reg: 2, Arg: 1 << alContactor}}, Value: conFailed},
			{When: []Cond{{Op: Equals}}, Value: conOpen}, {When: []Cond{{Op: Less, Arg: 1}}, Value: conPartial}, {When: []Cond{{Op: Same, Arg: 1}}, Value: conClosed},
		}, conUnknown),
	}
	str := []Rule{
		num("StrNMod", bess.NumModuleCount), num("StrSoC", bess.NumSocPct), num("StrSoH", bess.NumSohPct), num("StrA", bess.NumCurrentA),
		num("StrCellVMax", bess.NumCellVoltageMaxV), num("StrCellVMin", bess.NumCellVoltageMinV), num("StrCellVAvg", bess.NumCellVoltageAvgV),
		path(bess.NumCellVoltageMaxAt, module, "StrCellVMaxMod"), path(bess.NumCellVoltageMinAt, module, "StrCellVMinMod"),
		num("StrModTmpMax", bess.NumCellTemperatureMaxC), num("StrModTmpMin", bess.NumCellTemperatureMinC), num("StrModTmpAvg", bess.NumCellTemperatureAvgC),
		path(bess.NumCellTemperatureMaxAt, module, "StrModTmpMaxMod"), path(bess.NumCellTemperatureMinAt, module, "StrModTmpMinMod"),
		choice(bess.NumOperatingState, []string{"StrSt"}, []Case{ // register 1 is not told here, so no fault case
			{When: []Cond{{Op: NoBit, Arg: 1}}, Value: opDisabled}, {When: []Cond{{Op: NoBit, Arg: 2}}, Value: opDisconnected}, {When: []Cond{{Op: AnyBit, Arg: 2}}, Value: opRunning},
		}, opUnknown),
		choice(bess.NumContactorState, []string{"StrSt", "StrConFail", "StrConSt"}, rackContactors(), conUnknown),
		raw("StrConSt", bess.NumContactorBits),
		choice(bess.NumConnectFailureReason, []string{"StrConFail"}, same(0, 8), None),
		choice(bess.NumDisableReason, []string{"StrDisRsn"}, same(0, 4), None),
		{Points: []string{"StrEvt1", "StrConFail"}, Column: bess.NumAlarmBits, Op: Union, Cases: rackAlarms()},
		raw("StrEvtVnd1", bess.NumVendorEvent1Bits), raw("StrEvtVnd2", bess.NumVendorEvent2Bits),
	}
	for _, r := range str {
		rules = append(rules, r.inGroup())
	}
	return rules
}

func rules804() []Rule {
	module, cell := []string{"module%02d"}, []string{"cell%03d"}
	rules := []Rule{
		num("NMod", bess.NumModuleCount), num("SoC", bess.NumSocPct), num("SoH", bess.NumSohPct), num("DoD", bess.NumDodPct), num("NCyc", bess.NumCycleCount),
		num("A", bess.NumCurrentA), num("V", bess.NumVoltageV),
		num("CellVMax", bess.NumCellVoltageMaxV), num("CellVMin", bess.NumCellVoltageMinV), num("CellVAvg", bess.NumCellVoltageAvgV),
		path(bess.NumCellVoltageMaxAt, module, "CellVMaxMod"), path(bess.NumCellVoltageMinAt, module, "CellVMinMod"),
		num("ModTmpMax", bess.NumCellTemperatureMaxC), num("ModTmpMin", bess.NumCellTemperatureMinC), num("ModTmpAvg", bess.NumCellTemperatureAvgC),
		path(bess.NumCellTemperatureMaxAt, module, "ModTmpMaxMod"), path(bess.NumCellTemperatureMinAt, module, "ModTmpMinMod"),
		num("NCellBal", bess.NumBalancingCellCount),
		choice(bess.NumOperatingState, []string{"St", "ConFail"}, rackStates(), opUnknown),
		choice(bess.NumContactorState, []string{"St", "ConFail", "ConSt"}, rackContactors(), conUnknown),
		raw("ConSt", bess.NumContactorBits),
		choice(bess.NumConnectFailureReason, []string{"ConFail"}, same(0, 8), None),
		{Points: []string{"Evt1", "ConFail"}, Column: bess.NumAlarmBits, Op: Union, Cases: rackAlarms()},
		raw("EvtVnd1", bess.NumVendorEvent1Bits), raw("EvtVnd2", bess.NumVendorEvent2Bits),
	}
	for _, r := range []Rule{
		num("ModNCell", bess.NumCellCount), num("ModSoC", bess.NumSocPct), num("ModSoH", bess.NumSohPct),
		num("ModCellVMax", bess.NumCellVoltageMaxV), num("ModCellVMin", bess.NumCellVoltageMinV), num("ModCellVAvg", bess.NumCellVoltageAvgV),
		path(bess.NumCellVoltageMaxAt, cell, "ModCellVMaxCell"), path(bess.NumCellVoltageMinAt, cell, "ModCellVMinCell"),
		num("ModCellTmpMax", bess.NumCellTemperatureMaxC), num("ModCellTmpMin", bess.NumCellTemperatureMinC), num("ModCellTmpAvg", bess.NumCellTemperatureAvgC),
		path(bess.NumCellTemperatureMaxAt, cell, "ModCellTmpMaxCell"), path(bess.NumCellTemperatureMinAt, cell, "ModCellTmpMinCell"),
	} {
		rules = append(rules, r.inGroup().ranked(1)) // 805 is nearer
	}
	return rules
}

func rules805() []Rule {
	cell := []string{"cell%03d"}
	return []Rule{
		num("NCell", bess.NumCellCount), num("SoC", bess.NumSocPct), num("SoH", bess.NumSohPct), num("DoD", bess.NumDodPct), num("NCyc", bess.NumCycleCount),
		num("V", bess.NumVoltageV),
		num("CellVMax", bess.NumCellVoltageMaxV), num("CellVMin", bess.NumCellVoltageMinV), num("CellVAvg", bess.NumCellVoltageAvgV),
		path(bess.NumCellVoltageMaxAt, cell, "CellVMaxCell"), path(bess.NumCellVoltageMinAt, cell, "CellVMinCell"),
		num("CellTmpMax", bess.NumCellTemperatureMaxC), num("CellTmpMin", bess.NumCellTemperatureMinC), num("CellTmpAvg", bess.NumCellTemperatureAvgC),
		path(bess.NumCellTemperatureMaxAt, cell, "CellTmpMaxCell"), path(bess.NumCellTemperatureMinAt, cell, "CellTmpMinCell"),
		num("NCellBal", bess.NumBalancingCellCount), ident("SN", "serial_number"),
		{Group: true, Points: []string{"CellV"}, Column: bess.NumCellVoltagesV, Op: Array},
		{Group: true, Points: []string{"CellTmp"}, Column: bess.NumCellTemperaturesC, Op: Array},
		{Group: true, Points: []string{"CellSt"}, Column: bess.NumCellsBalancing, Op: Flags},
	}
}

// inverterAlarms are the cases of 103.Evt1 and 701.Alrm; register 0.
func inverterAlarms() []Case {
	return []Case{
		bit(0, 0, alGroundFault), bit(0, 1, alOverVolt), bit(0, 2, alACOff), bit(0, 3, alDCOff), bit(0, 4, alGridOff), bit(0, 5, alDoor),
		bit(0, 6, alManual), bit(0, 7, alOverTemp), bit(0, 8, alGridOverF), bit(0, 9, alGridUnderF), bit(0, 10, alGridOverV), bit(0, 11, alGridUnderV),
		bit(0, 12, alFuse), bit(0, 13, alUnderTemp), bit(0, 14, alInternal), bit(0, 15, alInternal),
	}
}

func rules103() []Rule {
	return []Rule{
		num("W", bess.NumActivePowerW), num("VAr", bess.NumReactivePowerVar), num("VA", bess.NumApparentPowerVa), percent("PF", bess.NumPowerFactor),
		num("Hz", bess.NumFrequencyHz),
		num("PhVphA", bess.NumVoltageL1V), num("PhVphB", bess.NumVoltageL2V), num("PhVphC", bess.NumVoltageL3V),
		num("PPVphAB", bess.NumVoltageL12V), num("PPVphBC", bess.NumVoltageL23V), num("PPVphCA", bess.NumVoltageL31V),
		num("A", bess.NumAcCurrentA), num("AphA", bess.NumCurrentL1A), num("AphB", bess.NumCurrentL2A), num("AphC", bess.NumCurrentL3A),
		num("WH", bess.NumEnergyExportedWh), num("DCV", bess.NumDcVoltageV), num("DCA", bess.NumDcCurrentA), num("DCW", bess.NumDcPowerW),
		num("TmpOt", bess.NumTemperatureC), num("TmpCab", bess.NumTemperatureCabinetC), num("TmpSnk", bess.NumTemperatureHeatsinkC), num("TmpTrns", bess.NumTemperatureTransformerC),
		choice(bess.NumOperatingState, []string{"St"}, codes(0, [2]int64{1, opOff}, [2]int64{2, opSleeping}, [2]int64{3, opInitializing}, [2]int64{4, opRunning},
			[2]int64{5, opThrottled}, [2]int64{6, opShuttingDown}, [2]int64{7, opFault}, [2]int64{8, opStandby}), opUnknown),
		num("StVnd", bess.NumVendorStateCode),
		{Points: []string{"Evt1"}, Column: bess.NumAlarmBits, Op: Union, Cases: inverterAlarms()},
		raw("EvtVnd1", bess.NumVendorEvent1Bits), raw("EvtVnd2", bess.NumVendorEvent2Bits), raw("EvtVnd3", bess.NumVendorEvent3Bits), raw("EvtVnd4", bess.NumVendorEvent4Bits),
	}
}

func rules203() []Rule {
	events := []Case{
		bit(0, 2, alGridOff), bit(0, 3, alGridUnderV), bit(0, 4, alPF), bit(0, 5, alOverCurr), bit(0, 6, alGridOverV), bit(0, 7, alSensor),
		{When: []Cond{{Op: AnyBit, Arg: 0x7FFF_0000}}, Value: 1 << alWarning},
	}
	return []Rule{
		num("W", bess.NumActivePowerW), num("VAR", bess.NumReactivePowerVar), num("VA", bess.NumApparentPowerVa), percent("PF", bess.NumPowerFactor),
		num("Hz", bess.NumFrequencyHz), num("PPV", bess.NumVoltageLlV), num("PhV", bess.NumVoltageLnV),
		num("PhVphA", bess.NumVoltageL1V), num("PhVphB", bess.NumVoltageL2V), num("PhVphC", bess.NumVoltageL3V),
		// 202 to 204 call the line voltages PhVphAB and so on, 201 and the float models PPVphAB.
		num("PhVphAB", bess.NumVoltageL12V), num("PhVphBC", bess.NumVoltageL23V), num("PhVphCA", bess.NumVoltageL31V),
		num("PPVphAB", bess.NumVoltageL12V), num("PPVphBC", bess.NumVoltageL23V), num("PPVphCA", bess.NumVoltageL31V),
		num("A", bess.NumAcCurrentA), num("AphA", bess.NumCurrentL1A), num("AphB", bess.NumCurrentL2A), num("AphC", bess.NumCurrentL3A),
		num("TotWhExp", bess.NumEnergyExportedWh), num("TotWhImp", bess.NumEnergyImportedWh),
		{Points: []string{"Evt"}, Column: bess.NumAlarmBits, Op: Union, Cases: events},
	}
}

func rules701() []Rule {
	return []Rule{
		num("W", bess.NumActivePowerW), num("Var", bess.NumReactivePowerVar), num("VA", bess.NumApparentPowerVa), num("PF", bess.NumPowerFactor),
		num("Hz", bess.NumFrequencyHz), num("LLV", bess.NumVoltageLlV), num("LNV", bess.NumVoltageLnV),
		num("VL1", bess.NumVoltageL1V), num("VL2", bess.NumVoltageL2V), num("VL3", bess.NumVoltageL3V),
		num("VL1L2", bess.NumVoltageL12V), num("VL2L3", bess.NumVoltageL23V), num("VL3L1", bess.NumVoltageL31V),
		num("A", bess.NumAcCurrentA), num("AL1", bess.NumCurrentL1A), num("AL2", bess.NumCurrentL2A), num("AL3", bess.NumCurrentL3A),
		num("TotWhInj", bess.NumEnergyExportedWh), num("TotWhAbs", bess.NumEnergyImportedWh),
		num("ThrotPct", bess.NumThrottlePct), raw("ThrotSrc", bess.NumThrottleSourceBits),
		num("TmpOt", bess.NumTemperatureC), num("TmpAmb", bess.NumTemperatureAmbientC), num("TmpCab", bess.NumTemperatureCabinetC),
		num("TmpSnk", bess.NumTemperatureHeatsinkC), num("TmpTrns", bess.NumTemperatureTransformerC), num("TmpSw", bess.NumTemperatureIgbtC),
		choice(bess.NumOperatingState, []string{"InvSt"}, codes(0, [2]int64{0, opOff}, [2]int64{1, opSleeping}, [2]int64{2, opInitializing}, [2]int64{3, opRunning},
			[2]int64{4, opThrottled}, [2]int64{5, opShuttingDown}, [2]int64{6, opFault}, [2]int64{7, opStandby}), opUnknown),
		choice(bess.NumOperatingState, []string{"St"}, codes(0, [2]int64{0, opOff}, [2]int64{1, opRunning}), opUnknown).ranked(1),
		choice(bess.NumGridState, []string{"ConnSt"}, codes(0, [2]int64{0, 1}, [2]int64{1, 2}), 0),
		choice(bess.NumGridMode, []string{"DERMode"}, []Case{bitCode(1, 2), bitCode(0, 1)}, 0),
		{Points: []string{"Alrm", "ThrotSrc"}, Column: bess.NumAlarmBits, Op: Union,
			Cases: append(inverterAlarms(), bit(0, 16, alOther), Case{When: []Cond{{Op: NotZero, Reg: 1}}, Value: 1 << alDerating})},
		{Points: []string{"ACType"}, Ident: "ac_type", Op: Choice, Else: None, Names: []Name{{0, "single_phase"}, {1, "split_phase"}, {2, "three_phase"}}},
	}
}

// portAlarms are the cases of 714.Prt.DCAlrm; register 0. Register 1 is DCSta.
func portAlarms() []Case {
	return []Case{
		bit(0, 0, alGroundFault), bit(0, 1, alOverVolt), bit(0, 3, alDCOff), bit(0, 5, alDoor), bit(0, 6, alManual), bit(0, 7, alOverTemp), bit(0, 12, alFuse),
		bit(0, 13, alUnderTemp), bit(0, 14, alInternal), bit(0, 15, alArc), bit(0, 20, alInternal), bit(0, 21, alUnderVolt), bit(0, 22, alOverCurr),
		value(1, 2, alWarning), value(1, 3, alOther),
	}
}

func rules714() []Rule {
	// PrtAlrms is not mapped bit by bit: in the model its bit n says that port n has an alarm, and the ports' own rows tell which.
	rules := []Rule{
		num("DCA", bess.NumDcCurrentA), num("DCW", bess.NumDcPowerW), num("DCWhInj", bess.NumEnergyDischargedWh), num("DCWhAbs", bess.NumEnergyChargedWh),
		{Points: []string{"PrtAlrms"}, Column: bess.NumAlarmBits, Op: Union, Cases: []Case{{When: []Cond{{Op: NotZero}}, Value: 1 << alOther}}},
	}
	for _, r := range []Rule{
		num("DCA", bess.NumCurrentA), num("DCV", bess.NumVoltageV), num("DCW", bess.NumPowerW), num("DCWhInj", bess.NumEnergyDischargedWh),
		num("DCWhAbs", bess.NumEnergyChargedWh), num("Tmp", bess.NumTemperatureC),
		choice(bess.NumOperatingState, []string{"DCSta"}, codes(0, [2]int64{0, opOff}, [2]int64{1, opRunning}, [2]int64{2, opRunning}, [2]int64{3, opFault}), opUnknown),
		choice(bess.NumContactorState, []string{"DCSta"}, codes(0, [2]int64{0, conOpen}, [2]int64{1, conClosed}, [2]int64{2, conClosed}), conUnknown),
		{Points: []string{"DCAlrm", "DCSta"}, Column: bess.NumAlarmBits, Op: Union, Cases: portAlarms()},
		{Points: []string{"PrtTyp"}, Ident: "port_type", Op: Choice, Else: None, Names: []Name{{0, "pv"}, {1, "ess"}, {2, "ev"}, {3, "inj"}, {4, "abs"}, {5, "bidir"}, {6, "dc_dc"}}},
		ident("IDStr", "port_name"),
	} {
		rules = append(rules, r.inGroup())
	}
	return rules
}
