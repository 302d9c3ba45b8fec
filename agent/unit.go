package agent

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bessd/agent/sunspec"
	"bessd/bess"
	"bessd/bess/maps"
	"bessd/internal/backoff"
)

// unit is one device of the configuration. It is owned by its endpoint's goroutine; counters are safe to read.
type unit struct {
	cfg    Device
	log    *slog.Logger
	static *maps.Layout // of a YAML map; nil for SunSpec

	chain   *sunspec.Chain
	period  [maps.NumTiers]time.Duration
	blocks  []block
	own     [maps.NumTiers][]int // blocks by tier
	users   [][]user             // block -> who needs it
	devices []*device
	known   bool // the layout is of this device, not a placeholder

	image   image
	readAt  []int64         // block -> tick of its last attempt
	cost    []time.Duration // block -> what an answer takes
	refusal []uint8         // block -> exception code of its last attempt
	invalid map[int]bool    // runs whose head is not what the layout says
	lastUS  int64           // time of the last answer

	tick int64 // of the row in the making
	next int64
	slot [maps.NumTiers]int64
	done [maps.NumTiers]int // blocks of the tier that were read in this slot

	down    bool
	retryAt int64
	backoff *backoff.Backoff

	survey     *survey
	surveyAt   int64 // when to look again, 0 = not planned
	surveyCost time.Duration

	saved   []byte
	savedAt int64

	up                                       atomic.Bool
	requests, exceptions, timeouts, failures atomic.Int64
	missed, abandoned, deviceCount           atomic.Int64
	lastError                                atomic.Pointer[string]
}

type user struct {
	dev  *device
	tier maps.Tier
}

// defaultPeriods are the wanted periods of the slower tiers; vocabulary.md asks for nameplates at least hourly.
func defaultPeriods() [maps.NumTiers]time.Duration {
	return [maps.NumTiers]time.Duration{maps.Slow: time.Second, maps.Cells: 10 * time.Second, maps.Nameplate: 5 * time.Minute}
}

// fitPeriod gives the shortest multiple of every that is not shorter than want and may be a period.
func fitPeriod(every, want time.Duration) time.Duration {
	for p := every; p < time.Minute; p += every {
		if p >= want && bess.ValidPeriod(p) {
			return p
		}
	}
	step := max(time.Minute, every) // every divides a minute, or is whole minutes
	return max(step, (want+step-1)/step*step)
}

func (u *unit) periods(wanted [maps.NumTiers]time.Duration) {
	def := defaultPeriods()
	for t := range u.period {
		want := cmp.Or(u.cfg.Tiers[maps.Tier(t).String()], wanted[t], def[t])
		u.period[t] = fitPeriod(u.cfg.Every, want)
	}
	u.period[maps.Fast] = u.cfg.Every
}

// adopt takes a layout over. The devices that stay keep their seq.
func (u *unit) adopt(l *maps.Layout, limit int, a *Agent) {
	l = orient(u.named(a.mine(l, u.cfg.ID)), u.cfg.Set["current_sign"])
	u.periods(l.Periods)
	u.blocks = cut(l.Points, limit)
	n := len(u.blocks)
	u.image, u.readAt, u.cost, u.refusal = make(image, n), make([]int64, n), make([]time.Duration, n), make([]uint8, n)
	u.users, u.own, u.invalid = make([][]user, n), [maps.NumTiers][]int{}, map[int]bool{}
	for b := range u.blocks {
		t := u.blocks[b].tier
		u.own[t] = append(u.own[t], b)
	}
	told := map[string]told{}
	for _, d := range u.devices {
		told[d.id.path] = d.told
	}
	u.devices = nil
	for _, d := range l.Devices {
		dev := newDevice(a.identity(d.Path), d, l.Map, u.blocks, u.period)
		if k, ok := bess.ParseKind(u.cfg.Kind); ok && d.Path == u.cfg.ID {
			dev.kind = k
		}
		dev.told, dev.steps = told[d.Path], a.clock.steps.Load()
		u.devices = append(u.devices, dev)
		for t := range dev.tiers {
			for _, b := range dev.tiers[t].blocks {
				u.users[b] = append(u.users[b], user{dev, maps.Tier(t)})
			}
		}
	}
	for t := range u.slot {
		u.slot[t], u.done[t] = -1, 0
	}
	u.known = true
	u.deviceCount.Store(int64(len(u.devices)))
}

// named leaves out the devices whose paths are none: nobody behind the agent would take their rows. What lies below such
// a device has no path either.
func (u *unit) named(l *maps.Layout) *maps.Layout {
	out := *l
	out.Devices = nil
	for _, d := range l.Devices {
		if err := bess.CheckDevice(d.Path); err != nil {
			u.log.Error("a device is not read because its path does not fit; shorten the unit's id", "path", d.Path, "err", err)
			continue
		}
		out.Devices = append(out.Devices, d)
	}
	return &out
}

// orient turns signed columns of a device that counts charge as positive.
func orient(l *maps.Layout, sign int) *maps.Layout {
	if sign != -1 {
		return l
	}
	signed := map[bess.Num]bess.Num{
		bess.NumCurrentA: 0, bess.NumPowerW: 0, bess.NumDcCurrentA: 0, bess.NumDcPowerW: 0, bess.NumActivePowerW: 0, bess.NumReactivePowerVar: 0,
		bess.NumPowerFactor: 0, bess.NumActivePowerSetpointW: 0, bess.NumReactivePowerSetpointVar: 0,
		bess.NumRackCurrentMinA: bess.NumRackCurrentMaxA, bess.NumRackCurrentMaxA: bess.NumRackCurrentMinA,
	}
	out := *l
	out.Devices = slices.Clone(l.Devices)
	for i := range out.Devices {
		fields := slices.Clone(out.Devices[i].Fields)
		for k := range fields {
			f := &fields[k]
			swap, ok := signed[f.Column]
			if !ok || f.Op != maps.Number {
				continue
			}
			f.Scale.M, f.Offset.M = -cmp.Or(f.Scale.M, 1), -f.Offset.M
			f.Column = cmp.Or(swap, f.Column)
		}
		out.Devices[i].Fields = fields
	}
	return &out
}

// unitState is what State keeps of a unit.
type unitState struct {
	Map     string                 `json:"map"`
	Chain   *sunspec.Chain         `json:"chain,omitempty"`
	Devices map[string]deviceState `json:"devices"`
}

type deviceState struct {
	Seen      map[string]int8    `json:"seen"` // field -> decimals
	Identity  map[string]string  `json:"identity,omitempty"`
	Nameplate map[string]float64 `json:"nameplate,omitempty"`
}

func (u *unit) key() string { return "unit/" + u.cfg.ID }

// fieldKey names a field over restarts.
func fieldKey(f *field) string {
	name := f.Ident + f.Extra
	if f.point != nil {
		name = f.point.Name
	}
	return fmt.Sprintf("%s:%d", name, f.Rank)
}

// state is what is known of the unit; it shares memory with the devices.
func (u *unit) state() unitState {
	s := unitState{Map: u.cfg.Map, Chain: u.chain, Devices: map[string]deviceState{}}
	for _, d := range u.devices {
		ds := deviceState{Seen: map[string]int8{}, Identity: d.ident, Nameplate: d.nameplate}
		for i := range d.fields {
			if d.seen[i] {
				ds.Seen[fieldKey(&d.fields[i])] = d.decimals[i]
			}
		}
		s.Devices[d.id.path] = ds
	}
	return s
}

func (u *unit) marshal() []byte {
	b, err := json.Marshal(u.state())
	if err != nil { // maps of plain values always marshal; NaN cannot get in, see describe
		return nil
	}
	return b
}

// recall marks what the devices are known to implement.
func (u *unit) recall(s *unitState) {
	for _, d := range u.devices {
		ds, ok := s.Devices[d.id.path]
		if !ok {
			continue
		}
		for i := range d.fields {
			if dec, ok := ds.Seen[fieldKey(&d.fields[i])]; ok && dec >= 0 && dec <= bess.MaxDecimals {
				d.seen[i], d.decimals[i], d.dirty = true, min(dec, d.fields[i].limit()), true
			}
		}
		for k, v := range ds.Identity {
			d.ident[k] = v
		}
		for k, v := range ds.Nameplate {
			d.nameplate[k] = v
		}
	}
}

// placeholder stands for the root of a unit of which nothing is known yet.
func (u *unit) placeholder(id *identity) {
	kind, ok := bess.ParseKind(u.cfg.Kind)
	if !ok {
		if kind = sunspec.KindOf(u.cfg.ID); kind == bess.KindUnknown {
			kind = bess.Bank
		}
	}
	u.periods([maps.NumTiers]time.Duration{})
	u.devices = []*device{newDevice(id, maps.Device{Path: u.cfg.ID, Kind: kind}, u.cfg.Map, nil, u.period)}
	u.deviceCount.Store(1)
}

// fail notes that the unit did not answer and when to ask it again. share is how many times longer than the failure
// took it must be left alone, so that it costs its neighbours a bounded part of their time.
func (u *unit) fail(now int64, took time.Duration, share int, err error) {
	first := !u.down
	u.down = true
	u.up.Store(false)
	text := err.Error()
	u.lastError.Store(&text)
	wait := u.backoff.Next()
	if share == 0 && u.backoff.Failures() <= 2 {
		wait = 0 // alone on its endpoint: nobody waits for it
	}
	u.retryAt = now + max(wait, time.Duration(share)*took).Microseconds()
	if first {
		u.log.Warn("unit gives no data", "err", strings.ReplaceAll(text, "\n", "; "))
	}
}

// answered notes that the unit is alive.
func (u *unit) answered() {
	if u.down {
		u.log.Info("unit gives data again")
	}
	u.down = false
	u.backoff.Reset()
	u.up.Store(true)
}
