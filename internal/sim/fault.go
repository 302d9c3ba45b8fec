package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"time"

	"bessd/internal/sim/mbap"
)

// FaultKind is a way in which a site misbehaves.
type FaultKind string

// Faults of answers; they can be limited to a range of registers and to a probability.
const (
	FaultDelay            FaultKind = "delay"             // answer after Delay
	FaultDrop             FaultKind = "drop"              // no answer
	FaultDead             FaultKind = "dead"              // no answer to anything, ranges and probability are ignored
	FaultException        FaultKind = "exception"         // exception Code (4 when 0)
	FaultClose            FaultKind = "close"             // close the connection instead of answering
	FaultHalf             FaultKind = "half"              // half a frame, then nothing
	FaultShort            FaultKind = "short"             // one register too few
	FaultGarbage          FaultKind = "garbage"           // bytes that are no frame
	FaultWrongLength      FaultKind = "wrong_length"      // header with length 65535
	FaultWrongTransaction FaultKind = "wrong_transaction" // answer to another transaction
	FaultWrongUnit        FaultKind = "wrong_unit"        // answer from another unit
)

// Faults of an endpoint and of the plant.
const (
	FaultRefuse         FaultKind = "refuse"          // connections of the device's endpoint are refused
	FaultStuckHeartbeat FaultKind = "stuck_heartbeat" // 802.Hb of the whole site stands still
	FaultWeakCell       FaultKind = "weak_cell"       // Rack, Module, Cell: resistance x Factor, capacity / sqrt(Factor)
	FaultContactor      FaultKind = "contactor"       // Rack's contactor opens
)

// Fault is one misbehaviour of a site. Zero values: Device "" = every unit, Count 0 =
// every address, Probability 0 = always, For 0 = until cleared.
type Fault struct {
	Kind               FaultKind
	Device             string // as in Unit.Device; banks for faults of the plant
	Address, Count     int    // reads that touch this range
	Probability        float64
	Delay              time.Duration
	Code               int     // exception code
	Rack, Module, Cell int     // from 1
	Factor             float64 // weak_cell, default 4
	After, For         time.Duration
}

// spoils maps the faults that only change the bytes on the wire.
func (k FaultKind) spoil() (mbap.Spoil, bool) {
	switch k {
	case FaultDrop, FaultDead:
		return mbap.Silent, true
	case FaultClose:
		return mbap.Close, true
	case FaultHalf:
		return mbap.Half, true
	case FaultShort:
		return mbap.Short, true
	case FaultGarbage:
		return mbap.Noise, true
	case FaultWrongLength:
		return mbap.WrongLength, true
	case FaultWrongTransaction:
		return mbap.WrongTransaction, true
	case FaultWrongUnit:
		return mbap.WrongUnit, true
	}
	return mbap.Intact, false
}

// Validate returns all problems that can be told without the site, joined.
func (f Fault) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	_, wire := f.Kind.spoil()
	switch f.Kind {
	case FaultDelay:
		bad(f.Delay > 0 && f.Delay <= 10*time.Minute, "delay %s: want above 0 up to 10m", f.Delay)
	case FaultException:
		bad(f.Code >= 0 && f.Code <= 255, "code %d: want 1..255, 0 for the default 4", f.Code)
	case FaultWeakCell:
		bad(f.Rack >= 1 && f.Module >= 1 && f.Cell >= 1, "rack %d, module %d, cell %d: want all three, counted from 1", f.Rack, f.Module, f.Cell)
		bad(f.Factor == 0 || (f.Factor > 0.1 && f.Factor <= 100), "factor %g: want 0.1..100, 0 for the default 4", f.Factor)
	case FaultContactor:
		bad(f.Rack >= 1, "rack %d: want a rack, counted from 1", f.Rack)
	case FaultRefuse, FaultStuckHeartbeat:
	default:
		bad(wire, "kind %q: want one of %q", f.Kind, faultKinds())
	}
	bad(f.Probability >= 0 && f.Probability <= 1, "probability %g: want 0..1", f.Probability)
	bad(f.Address >= 0 && f.Address <= 65535 && f.Count >= 0 && f.Count <= 65536, "address %d, count %d: want a range of registers", f.Address, f.Count)
	bad(f.After >= 0 && f.For >= 0, "after %s, for %s: want 0 or more", f.After, f.For)
	return errors.Join(errs...)
}

// target tells what the fault names and the site does not have.
func (f Fault) target(c SiteConfig, endpoints [][]*unit) error {
	if f.Device != "" && !hasDevice(endpoints, f.Device) {
		return fmt.Errorf("device %q: site %s has no such unit", f.Device, c.ID)
	}
	if f.Kind != FaultWeakCell && f.Kind != FaultContactor {
		return nil
	}
	if f.Device != "" && !bankDevice.MatchString(f.Device) {
		return fmt.Errorf("device %q: %s is a fault of a bank, want bank1 or the like", f.Device, f.Kind)
	}
	if f.Rack > c.Racks || f.Module > c.ModulesPerRack || f.Cell > c.CellsPerModule {
		return fmt.Errorf("rack %d, module %d, cell %d: a bank of site %s has %d racks of %d modules of %d cells",
			f.Rack, f.Module, f.Cell, c.ID, c.Racks, c.ModulesPerRack, c.CellsPerModule)
	}
	return nil
}

var bankDevice = regexp.MustCompile(`^bank[0-9]+$`)

func faultKinds() []FaultKind {
	return []FaultKind{FaultDelay, FaultDrop, FaultDead, FaultException, FaultClose, FaultHalf, FaultShort, FaultGarbage, FaultWrongLength,
		FaultWrongTransaction, FaultWrongUnit, FaultRefuse, FaultStuckHeartbeat, FaultWeakCell, FaultContactor}
}

// standing is a fault with its times made absolute.
type standing struct {
	Fault
	from, to time.Time // to zero = until cleared
}

func (s *standing) active(now time.Time) bool {
	return !now.Before(s.from) && (s.to.IsZero() || now.Before(s.to))
}

// faultSet holds the faults of a site. It is safe for use by many goroutines.
type faultSet struct {
	mu   sync.Mutex
	list []standing
	rng  *rand.Rand
}

func (s *faultSet) add(f Fault, now time.Time) {
	st := standing{Fault: f, from: now.Add(f.After)}
	if f.For > 0 {
		st.to = st.from.Add(f.For)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, st)
}

// clear removes faults by device and kind, "" matches all, and returns how many.
func (s *faultSet) clear(device string, kind FaultKind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.list[:0:0]
	for _, f := range s.list {
		if (device != "" && f.Device != device) || (kind != "" && f.Kind != kind) {
			kept = append(kept, f)
		}
	}
	n := len(s.list) - len(kept)
	s.list = kept
	return n
}

// active returns the faults that stand now and pass keep; ended ones are forgotten.
func (s *faultSet) active(now time.Time, keep func(FaultKind) bool) []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Fault
	left := s.list[:0]
	for _, f := range s.list {
		if !f.to.IsZero() && !now.Before(f.to) {
			continue
		}
		left = append(left, f)
		if f.active(now) && keep(f.Kind) {
			out = append(out, f.Fault)
		}
	}
	s.list = left
	return out
}

// apply changes an answer by the faults that stand for a unit; of several faults of
// one kind of effect the last one counts.
func (s *faultSet) apply(device string, q mbap.Request, r *mbap.Reply, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		f := &s.list[i]
		if !f.active(now) || (f.Device != "" && f.Device != device) {
			continue
		}
		if f.Kind != FaultDead {
			if f.Count > 0 && (int(q.Address) >= f.Address+f.Count || int(q.Address)+int(q.Count) <= f.Address) {
				continue
			}
			if f.Probability > 0 && s.rng.Float64() >= f.Probability {
				continue
			}
		}
		switch f.Kind {
		case FaultDelay:
			r.Delay = f.Delay
		case FaultException:
			r.Registers, r.Exception = nil, mbap.DeviceFailure
			if f.Code != 0 {
				r.Exception = byte(f.Code)
			}
		default:
			if spoil, ok := f.Kind.spoil(); ok {
				r.Spoil = spoil
			}
		}
	}
}
