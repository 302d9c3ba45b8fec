package sim

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// Outcome is what became of a request.
type Outcome uint8

// The outcomes of a request; the zero value is none of them.
const (
	OutcomeUnknown   Outcome = iota
	OutcomeOK                // answered with registers, written to the socket
	OutcomeException         // answered with an exception
	OutcomeWithheld          // no answer, by a fault
	OutcomeSpoiled           // answered with bytes that are wrong on purpose
	OutcomeFailed            // the answer could not be written
)

// String names the outcome as the ledger file does.
func (o Outcome) String() string {
	switch o {
	case OutcomeOK:
		return "ok"
	case OutcomeException:
		return "exception"
	case OutcomeWithheld:
		return "withheld"
	case OutcomeSpoiled:
		return "spoiled"
	case OutcomeFailed:
		return "failed"
	}
	return "unknown"
}

// Record is one request and what was answered. A record is written after its answer
// went to the socket, so a client may see the answer a moment before the record.
type Record struct {
	Time           time.Time // when the answer was written
	Site, Endpoint string
	Device         string // "" for a unit id that does not exist
	Unit           uint8
	Function       uint8
	Address, Count uint16
	Outcome        Outcome
	Exception      uint8
	Seq            uint64 // refresh of the registers that were served
	Heartbeat      uint16 // 802.Hb in those registers
}

// Counts sums the records of one device.
type Counts struct {
	OK, Exceptions, Withheld, Spoiled, Failed int64
	Registers                                 int64 // in OK answers
}

// Ledger is the append-only record of what a simulator served. It is safe for use by
// many goroutines.
type Ledger struct {
	mu     sync.Mutex
	ring   []Record
	total  int64
	counts map[[2]string]*Counts
	file   *os.File
	out    *bufio.Writer
	line   []byte
	err    error // the first of the file
}

const ledgerHeader = "unix_us,site,endpoint,device,unit,function,address,count,outcome,exception,seq,heartbeat\n"

func newLedger(c LedgerConfig) (*Ledger, error) {
	l := &Ledger{ring: make([]Record, 0, c.Ring), counts: map[[2]string]*Counts{}}
	if c.File == "" {
		return l, nil
	}
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the simulator's ledger: %w", err)
	}
	l.file, l.out = f, bufio.NewWriterSize(f, 64<<10)
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end == 0 {
		_, l.err = l.out.WriteString(ledgerHeader)
	}
	return l, nil
}

func (l *Ledger) add(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := cap(l.ring); len(l.ring) < n {
		l.ring = append(l.ring, r)
	} else if n > 0 {
		l.ring[l.total%int64(n)] = r
	}
	l.total++
	key := [2]string{r.Site, r.Device}
	c := l.counts[key]
	if c == nil {
		c = &Counts{}
		l.counts[key] = c
	}
	switch r.Outcome {
	case OutcomeOK:
		c.OK++
		c.Registers += int64(r.Count)
	case OutcomeException:
		c.Exceptions++
	case OutcomeWithheld:
		c.Withheld++
	case OutcomeSpoiled:
		c.Spoiled++
	default:
		c.Failed++
	}
	if l.out != nil && l.err == nil {
		l.line = r.append(l.line[:0])
		_, l.err = l.out.Write(l.line)
	}
}

func (r *Record) append(b []byte) []byte {
	b = strconv.AppendInt(b, r.Time.UnixMicro(), 10)
	for _, s := range []string{r.Site, r.Endpoint, r.Device} {
		b = append(append(b, ','), s...)
	}
	for _, n := range []uint64{uint64(r.Unit), uint64(r.Function), uint64(r.Address), uint64(r.Count)} {
		b = strconv.AppendUint(append(b, ','), n, 10)
	}
	b = append(append(b, ','), r.Outcome.String()...)
	for _, n := range []uint64{uint64(r.Exception), r.Seq, uint64(r.Heartbeat)} {
		b = strconv.AppendUint(append(b, ','), n, 10)
	}
	return append(b, '\n')
}

// Records returns the records that the ring still holds, oldest first.
func (l *Ledger) Records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(l.ring))
	out := make([]Record, 0, n)
	for i := l.total - n; i < l.total; i++ {
		out = append(out, l.ring[i%int64(cap(l.ring))])
	}
	return out
}

// Total is the number of records ever made.
func (l *Ledger) Total() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Served sums up what was answered for a device of a site since the start.
func (l *Ledger) Served(site, device string) Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.counts[[2]string{site, device}]; c != nil {
		return *c
	}
	return Counts{}
}

// Flush writes buffered lines to the file and returns the first error of the file.
func (l *Ledger) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return nil
	}
	if err := l.out.Flush(); l.err == nil {
		l.err = err
	}
	if l.err != nil {
		return fmt.Errorf("writing the simulator's ledger: %w", l.err)
	}
	return nil
}

func (l *Ledger) close() error {
	err := l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		if cerr := l.file.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("closing the simulator's ledger: %w", cerr)
		}
		l.file, l.out = nil, nil
	}
	return err
}
