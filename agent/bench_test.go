package agent

import (
	"context"
	"syscall"
	"testing"
	"time"

	"bessd/bess"
	"bessd/bess/maps"
	"bessd/bess/wire"
)

// benchImage is a bank of 4 racks with 8 modules of 14 cells each.
func benchImage(t testing.TB, u *plantUnit) {
	models := []image1{bankImage()[2], {id: 803, n: 4, values: map[string]int64{"NStr": 4, "SoC_SF": 0, "A_SF": -1, "CellV_SF": -3, "ModTmp_SF": -1, "1.StrSoC": 50}}}
	for r := range 4 {
		models = append(models, image1{id: 804, n: 8, values: map[string]int64{"Idx": int64(r + 1), "SoC": 500, "SoC_SF": -1, "V": 8000, "V_SF": -1, "A": 100, "A_SF": -1, "CellV_SF": -3, "ModTmp_SF": -1}})
		for m := range 8 {
			v := map[string]int64{"StrIdx": int64(r + 1), "ModIdx": int64(m + 1), "NCell": 14, "V": 466, "V_SF": -1, "CellV_SF": -3, "Tmp_SF": -1}
			for c := range 14 {
				name := string(rune('0'+(c+1)/10)) + string(rune('0'+(c+1)%10))
				if c < 9 {
					name = name[1:]
				}
				v[name+".CellV"], v[name+".CellTmp"], v[name+".CellSt"] = int64(3300+c), 250, 0
			}
			models = append(models, image1{id: 805, n: 14, values: v})
		}
	}
	u.sunspec(t, 40000, models...)
}

// BenchmarkDecode turns the registers of one module with 14 cells into an encoded scan.
func BenchmarkDecode(b *testing.B) {
	p := servePlant(b)
	u := p.unit(1)
	benchImage(b, u)
	sink := &inbox{}
	cfg := testConfig(p.addr, bankDevice(50*time.Millisecond))
	a, stop := start(b, cfg, newState(), sink)
	await(b, "discovery", func() bool { return len(sink.of("bank1/rack04/module08")) > 0 })
	stop()
	un := a.endpoints[0].units[0]
	var dev *device
	for _, d := range un.devices {
		if d.id.path == "bank1/rack01/module01" {
			dev = d
		}
	}
	for i, blk := range un.blocks {
		un.image[i] = make([]uint16, blk.n)
		for k := range un.image[i] {
			un.image[i][k] = u.regs[blk.addr+uint16(k)]
		}
	}
	var s bess.Scan
	var buf []byte
	values := 0
	b.ReportAllocs()
	for b.Loop() {
		for t := range dev.tiers {
			if dev.tiers[t].used {
				dev.finish(maps.Tier(t), un.image, 1, 1)
			}
		}
		if err := dev.fill(&s); err != nil {
			b.Fatal(err)
		}
		values = s.PresentValues()
		buf = wire.AppendScan(buf[:0], &s)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*values), "ns/value")
	b.ReportMetric(float64(len(buf))/float64(values), "bytes/value")
}

// discard counts and forgets.
type discard struct{}

func (discard) Put(context.Context, Record) error { return nil }

// BenchmarkPoll polls a bank over loopback as fast as its ticks allow and reports the CPU that a million registers cost.
// The server runs in the same process, so its half is in the figure.
func BenchmarkPoll(b *testing.B) {
	p := servePlant(b)
	benchImage(b, p.unit(1))
	d := Device{ID: "bank1", Unit: 1, Map: "sunspec", Every: 20 * time.Millisecond,
		Tiers: map[string]time.Duration{"slow": 20 * time.Millisecond, "cells": 20 * time.Millisecond, "nameplate": time.Minute}}
	a, stop := start(b, testConfig(p.addr, d), newState(), discard{})
	await(b, "discovery", func() bool { return a.Stats().Devices > 30 })
	cpu := func() time.Duration {
		var ru syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
			b.Fatal(err)
		}
		return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	}
	c0, s0 := cpu(), a.Stats()
	for b.Loop() {
		n := a.Stats().Requests
		await(b, "requests", func() bool { return a.Stats().Requests >= n+100 })
	}
	c1, s1 := cpu(), a.Stats()
	stop()
	regs := float64(s1.Registers - s0.Registers)
	b.ReportMetric((c1-c0).Seconds()/regs*1e6, "cpu-s/Mregisters")
	b.ReportMetric(float64(s1.Values-s0.Values)/regs, "values/register")
	b.ReportMetric(regs/float64(s1.Requests-s0.Requests), "registers/request")
}
