package sim

// modelFacts are the points of a SunSpec model in order: name, type, and the scale
// factor where there is one. u = 16-bit unsigned (also enum and bit field), i = signed
// (also scale factor), U = 32-bit unsigned, Q = 64-bit unsigned, a = 32-bit accumulator,
// sN = text of N registers, p = pad. group repeats behind fixed.
// Facts from the SunSpec Alliance's model definitions (github.com/sunspec/models,
// Apache-2.0, see NOTICE).
type modelFacts struct {
	id           uint16
	fixed, group string
}

// facts returns the models that the simulator serves.
func facts() []modelFacts {
	return []modelFacts{
		{id: 1, fixed: `
			ID:u L:u Mn:s16 Md:s16 Opt:s8 Vr:s8 SN:s16 DA:u Pad:p`},
		{id: 203, fixed: `
			ID:u L:u A:i/A_SF AphA:i/A_SF AphB:i/A_SF AphC:i/A_SF A_SF:i PhV:i/V_SF PhVphA:i/V_SF PhVphB:i/V_SF PhVphC:i/V_SF PPV:i/V_SF PhVphAB:i/V_SF
			PhVphBC:i/V_SF PhVphCA:i/V_SF V_SF:i Hz:i/Hz_SF Hz_SF:i W:i/W_SF WphA:i/W_SF WphB:i/W_SF WphC:i/W_SF W_SF:i VA:i/VA_SF VAphA:i/VA_SF VAphB:i/VA_SF
			VAphC:i/VA_SF VA_SF:i VAR:i/VAR_SF VARphA:i/VAR_SF VARphB:i/VAR_SF VARphC:i/VAR_SF VAR_SF:i PF:i/PF_SF PFphA:i/PF_SF PFphB:i/PF_SF PFphC:i/PF_SF
			PF_SF:i TotWhExp:a/TotWh_SF TotWhExpPhA:a/TotWh_SF TotWhExpPhB:a/TotWh_SF TotWhExpPhC:a/TotWh_SF TotWhImp:a/TotWh_SF TotWhImpPhA:a/TotWh_SF
			TotWhImpPhB:a/TotWh_SF TotWhImpPhC:a/TotWh_SF TotWh_SF:i TotVAhExp:a/TotVAh_SF TotVAhExpPhA:a/TotVAh_SF TotVAhExpPhB:a/TotVAh_SF
			TotVAhExpPhC:a/TotVAh_SF TotVAhImp:a/TotVAh_SF TotVAhImpPhA:a/TotVAh_SF TotVAhImpPhB:a/TotVAh_SF TotVAhImpPhC:a/TotVAh_SF TotVAh_SF:i
			TotVArhImpQ1:a/TotVArh_SF TotVArhImpQ1PhA:a/TotVArh_SF TotVArhImpQ1PhB:a/TotVArh_SF TotVArhImpQ1PhC:a/TotVArh_SF TotVArhImpQ2:a/TotVArh_SF
			TotVArhImpQ2PhA:a/TotVArh_SF TotVArhImpQ2PhB:a/TotVArh_SF TotVArhImpQ2PhC:a/TotVArh_SF TotVArhExpQ3:a/TotVArh_SF TotVArhExpQ3PhA:a/TotVArh_SF
			TotVArhExpQ3PhB:a/TotVArh_SF TotVArhExpQ3PhC:a/TotVArh_SF TotVArhExpQ4:a/TotVArh_SF TotVArhExpQ4PhA:a/TotVArh_SF TotVArhExpQ4PhB:a/TotVArh_SF
			TotVArhExpQ4PhC:a/TotVArh_SF TotVArh_SF:i Evt:U`},
		{id: 701, fixed: `
			ID:u L:u ACType:u St:u InvSt:u ConnSt:u Alrm:U DERMode:U W:i/W_SF VA:i/VA_SF Var:i/Var_SF PF:i/PF_SF A:i/A_SF LLV:u/V_SF LNV:u/V_SF Hz:U/Hz_SF
			TotWhInj:Q/TotWh_SF TotWhAbs:Q/TotWh_SF TotVarhInj:Q/TotVarh_SF TotVarhAbs:Q/TotVarh_SF TmpAmb:i/Tmp_SF TmpCab:i/Tmp_SF TmpSnk:i/Tmp_SF
			TmpTrns:i/Tmp_SF TmpSw:i/Tmp_SF TmpOt:i/Tmp_SF WL1:i/W_SF VAL1:i/VA_SF VarL1:i/Var_SF PFL1:i/PF_SF AL1:i/A_SF VL1L2:u/V_SF VL1:u/V_SF
			TotWhInjL1:Q/TotWh_SF TotWhAbsL1:Q/TotWh_SF TotVarhInjL1:Q/TotVarh_SF TotVarhAbsL1:Q/TotVarh_SF WL2:i/W_SF VAL2:i/VA_SF VarL2:i/Var_SF PFL2:i/PF_SF
			AL2:i/A_SF VL2L3:u/V_SF VL2:u/V_SF TotWhInjL2:Q/TotWh_SF TotWhAbsL2:Q/TotWh_SF TotVarhInjL2:Q/TotVarh_SF TotVarhAbsL2:Q/TotVarh_SF WL3:i/W_SF
			VAL3:i/VA_SF VarL3:i/Var_SF PFL3:i/PF_SF AL3:i/A_SF VL3L1:u/V_SF VL3:u/V_SF TotWhInjL3:Q/TotWh_SF TotWhAbsL3:Q/TotWh_SF TotVarhInjL3:Q/TotVarh_SF
			TotVarhAbsL3:Q/TotVarh_SF ThrotPct:u ThrotSrc:U A_SF:i V_SF:i Hz_SF:i W_SF:i PF_SF:i VA_SF:i Var_SF:i TotWh_SF:i TotVarh_SF:i Tmp_SF:i MnAlrmInfo:s32`},
		{id: 713, fixed: `
			ID:u L:u WHRtg:u/WH_SF WHAvail:u/WH_SF SoC:u/Pct_SF SoH:u/Pct_SF Sta:u WH_SF:i Pct_SF:i`},
		{id: 714, fixed: `
			ID:u L:u PrtAlrms:U NPrt:u DCA:i/DCA_SF DCW:i/DCW_SF DCWhInj:Q/DCWH_SF DCWhAbs:Q/DCWH_SF DCA_SF:i DCV_SF:i DCW_SF:i DCWH_SF:i Tmp_SF:i`, group: `
			PrtTyp:u ID:u IDStr:s8 DCA:i/DCA_SF DCV:u/DCV_SF DCW:i/DCW_SF DCWhInj:Q/DCWH_SF DCWhAbs:Q/DCWH_SF Tmp:i/Tmp_SF DCSta:u DCAlrm:U`},
		{id: 802, fixed: `
			ID:u L:u AHRtg:u/AHRtg_SF WHRtg:u/WHRtg_SF WChaRteMax:u/WChaDisChaMax_SF WDisChaRteMax:u/WChaDisChaMax_SF DisChaRte:u/DisChaRte_SF SoCMax:u/SoC_SF
			SoCMin:u/SoC_SF SocRsvMax:u/SoC_SF SoCRsvMin:u/SoC_SF SoC:u/SoC_SF DoD:u/DoD_SF SoH:u/SoH_SF NCyc:U ChaSt:u LocRemCtl:u Hb:u CtrlHb:u AlmRst:u Typ:u
			State:u StateVnd:u WarrDt:U Evt1:U Evt2:U EvtVnd1:U EvtVnd2:U V:u/V_SF VMax:u/V_SF VMin:u/V_SF CellVMax:u/CellV_SF CellVMaxStr:u CellVMaxMod:u
			CellVMin:u/CellV_SF CellVMinStr:u CellVMinMod:u CellVAvg:u/CellV_SF A:i/A_SF AChaMax:u/AMax_SF ADisChaMax:u/AMax_SF W:i/W_SF ReqInvState:u ReqW:i/W_SF
			SetOp:u SetInvState:u AHRtg_SF:i WHRtg_SF:i WChaDisChaMax_SF:i DisChaRte_SF:i SoC_SF:i DoD_SF:i SoH_SF:i V_SF:i CellV_SF:i A_SF:i AMax_SF:i W_SF:i`},
		{id: 803, fixed: `
			ID:u L:u NStr:u NStrCon:u ModTmpMax:i/ModTmp_SF ModTmpMaxStr:u ModTmpMaxMod:u ModTmpMin:i/ModTmp_SF ModTmpMinStr:u ModTmpMinMod:u
			ModTmpAvg:i/ModTmp_SF StrVMax:u/V_SF StrVMaxStr:u StrVMin:u/V_SF StrVMinStr:u StrVAvg:u/V_SF StrAMax:i/A_SF StrAMaxStr:u StrAMin:i/A_SF StrAMinStr:u
			StrAAvg:i/A_SF NCellBal:u CellV_SF:i ModTmp_SF:i A_SF:i SoH_SF:i SoC_SF:i V_SF:i`, group: `
			StrNMod:u StrSt:U StrConFail:u StrSoC:u/SoC_SF StrSoH:u/SoH_SF StrA:i/A_SF StrCellVMax:u/CellV_SF StrCellVMaxMod:u StrCellVMin:u/CellV_SF
			StrCellVMinMod:u StrCellVAvg:u/CellV_SF StrModTmpMax:i/ModTmp_SF StrModTmpMaxMod:u StrModTmpMin:i/ModTmp_SF StrModTmpMinMod:u StrModTmpAvg:i/ModTmp_SF
			StrDisRsn:u StrConSt:U StrEvt1:U StrEvt2:U StrEvtVnd1:U StrEvtVnd2:U StrSetEna:u StrSetCon:u Pad1:p Pad2:p`},
		{id: 804, fixed: `
			ID:u L:u Idx:u NMod:u St:U ConFail:u NCellBal:u SoC:u/SoC_SF DoD:u/DoD_SF NCyc:U SoH:u/SoH_SF A:i/A_SF V:u/V_SF CellVMax:u/CellV_SF CellVMaxMod:u
			CellVMin:u/CellV_SF CellVMinMod:u CellVAvg:u/CellV_SF ModTmpMax:i/ModTmp_SF ModTmpMaxMod:u ModTmpMin:i/ModTmp_SF ModTmpMinMod:u ModTmpAvg:i/ModTmp_SF
			Pad1:p ConSt:U Evt1:U Evt2:U EvtVnd1:U EvtVnd2:U SetEna:u SetCon:u SoC_SF:i SoH_SF:i DoD_SF:i A_SF:i V_SF:i CellV_SF:i ModTmp_SF:i Pad2:p Pad3:p
			Pad4:p`, group: `
			ModNCell:u ModSoC:u/SoC_SF ModSoH:u/SoH_SF ModCellVMax:u/CellV_SF ModCellVMaxCell:u ModCellVMin:u/CellV_SF ModCellVMinCell:u ModCellVAvg:u/CellV_SF
			ModCellTmpMax:i/ModTmp_SF ModCellTmpMaxCell:u ModCellTmpMin:i/ModTmp_SF ModCellTmpMinCell:u ModCellTmpAvg:i/ModTmp_SF Pad5:p Pad6:p Pad7:p`},
		{id: 805, fixed: `
			ID:u L:u StrIdx:u ModIdx:u NCell:u SoC:u/SoC_SF DoD:u/DoD_SF SoH:u/SoH_SF NCyc:U V:u/V_SF CellVMax:u/CellV_SF CellVMaxCell:u CellVMin:u/CellV_SF
			CellVMinCell:u CellVAvg:u/CellV_SF CellTmpMax:i/Tmp_SF CellTmpMaxCell:u CellTmpMin:i/Tmp_SF CellTmpMinCell:u CellTmpAvg:i/Tmp_SF NCellBal:u SN:s16
			SoC_SF:i SoH_SF:i DoD_SF:i V_SF:i CellV_SF:i Tmp_SF:i`, group: `
			CellV:u/CellV_SF CellTmp:i/Tmp_SF CellSt:U`},
	}
}
