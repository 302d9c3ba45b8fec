package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// smallSite is a manual site that is quick to read in full.
func smallSite() SiteConfig {
	c := DefaultSite("alfa", 7)
	c.Racks, c.ModulesPerRack, c.CellsPerModule = 3, 2, 14
	c.Manual, c.KeepImages = true, 50
	return c
}

// running starts a simulator that ends with the test.
func running(t testing.TB, cfg Config) *Sim {
	t.Helper()
	s, err := New(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

func oneSite(c SiteConfig) Config {
	return Config{Sites: []SiteConfig{c}, Ledger: LedgerConfig{Ring: 4096}}
}

// client is a Modbus client of a few lines that shares nothing with the server.
type client struct {
	conn net.Conn
	id   uint16
}

func connect(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{conn: conn}
}

type exception byte

func (e exception) Error() string { return fmt.Sprintf("exception %d", byte(e)) }

// read asks with function 3 and waits up to timeout.
func (c *client) read(unit byte, addr, count int, timeout time.Duration) ([]uint16, error) {
	c.id++
	req := []byte{byte(c.id >> 8), byte(c.id), 0, 0, 0, 6, unit, 3, byte(addr >> 8), byte(addr), byte(count >> 8), byte(count)}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(req); err != nil {
		return nil, err
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(c.conn, head); err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint16(head) != c.id || head[2] != 0 || head[3] != 0 || head[6] != unit {
		return nil, fmt.Errorf("header %x for transaction %d unit %d", head, c.id, unit)
	}
	if head[7] == 0x83 {
		return nil, exception(head[8])
	}
	if head[7] != 3 || int(head[8]) != 2*count || int(binary.BigEndian.Uint16(head[4:])) != 3+2*count {
		return nil, fmt.Errorf("header %x for %d registers", head, count)
	}
	body := make([]byte, 2*count)
	if _, err := io.ReadFull(c.conn, body); err != nil {
		return nil, err
	}
	regs := make([]uint16, count)
	for i := range regs {
		regs[i] = binary.BigEndian.Uint16(body[2*i:])
	}
	return regs, nil
}

const patient = 10 * time.Second

func (c *client) must(t testing.TB, unit byte, addr, count int) []uint16 {
	t.Helper()
	regs, err := c.read(unit, addr, count, patient)
	if err != nil {
		t.Fatalf("reading unit %d %d+%d: %v", unit, addr, count, err)
	}
	return regs
}

// instance is one SunSpec model as found by walking the chain.
type instance struct {
	id   int
	regs []uint16 // ID and L included, so that offsets are those of the model files
}

// walk reads a unit's whole chain the way a discovery does: ID and L apart.
func (c *client) walk(t testing.TB, unit byte, base int) []instance {
	t.Helper()
	if mark := c.must(t, unit, base, 2); mark[0] != 0x5375 || mark[1] != 0x6E53 {
		t.Fatalf("unit %d at %d: mark %x", unit, base, mark)
	}
	var out []instance
	for at := base + 2; ; {
		id := c.must(t, unit, at, 1)[0]
		if id == 0xFFFF {
			return out
		}
		n := 2 + int(c.must(t, unit, at+1, 1)[0])
		in := instance{id: int(id)}
		for off := 0; off < n; off += 125 {
			in.regs = append(in.regs, c.must(t, unit, at+off, min(125, n-off))...)
		}
		out = append(out, in)
		at += n
	}
}

func (in instance) u(off int) float64 { return float64(in.regs[off]) }
func (in instance) i(off int) float64 { return float64(int16(in.regs[off])) }
func (in instance) u32(off int) float64 {
	return float64(uint32(in.regs[off])<<16 | uint32(in.regs[off+1]))
}
func (in instance) u64(off int) float64 { return in.u32(off)*(1<<32) + in.u32(off+2) }
func (in instance) sf(off int) float64  { return math.Pow(10, in.i(off)) }
func (in instance) text(off, n int) string {
	b := []byte{}
	for _, r := range in.regs[off : off+n] {
		b = append(b, byte(r>>8), byte(r))
	}
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}

// await polls until ok or the deadline.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited 20 s for %s", what)
		case <-tick.C:
		}
	}
}

func isException(err error, code byte) bool {
	var e exception
	return errors.As(err, &e) && byte(e) == code
}
