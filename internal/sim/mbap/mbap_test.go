package mbap

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// device serves its registers from address 100 on; unit 9 does not exist.
type device struct {
	regs []uint16

	mu    sync.Mutex
	next  Reply // merged into the next answer
	seen  []Request
	tells []Reply
}

func (d *device) ServeModbus(q Request) Reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, q)
	r := d.next
	d.next = Reply{}
	off := int(q.Address) - 100
	switch {
	case q.Unit == 9:
		r.Exception = GatewayTargetFailed
	case q.Problem() != 0:
		r.Exception = q.Problem()
	case off < 0 || off+int(q.Count) > len(d.regs):
		r.Exception = IllegalAddress
	default:
		r.Registers = d.regs[off : off+int(q.Count)]
	}
	return r
}

func (d *device) Answered(_ Request, r Reply, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tells = append(d.tells, r)
}

func (d *device) spoil(r Reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = r
}

// start serves d and returns its address; the server has ended when the test ends.
func start(t *testing.T, d *device, maxConns int) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	srv := &Server{Handler: d, Observer: d, MaxConns: maxConns}
	go func() { done <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// raw turns "0001 0000 ..." into bytes.
func raw(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	w := raw(t, want)
	got := make([]byte, len(w))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("reading %d bytes: %v", len(w), err)
	}
	if !bytes.Equal(got, w) {
		t.Fatalf("got  %x\nwant %x", got, w)
	}
}

func send(t *testing.T, c net.Conn, frame string) {
	t.Helper()
	if _, err := c.Write(raw(t, frame)); err != nil {
		t.Fatal(err)
	}
}

func TestAnswersByTheBook(t *testing.T) {
	c := dial(t, start(t, &device{regs: []uint16{0x1234, 0xFFFF, 3}}, 0))
	for _, tc := range []struct{ name, ask, want string }{
		{"read holding", "0001 0000 0006 01 03 0064 0002", "0001 0000 0007 01 03 04 1234 FFFF"},
		{"read input", "BEEF 0000 0006 07 04 0066 0001", "BEEF 0000 0005 07 04 02 0003"},
		{"outside", "0002 0000 0006 01 03 0063 0001", "0002 0000 0003 01 83 02"},
		{"across the end", "0003 0000 0006 01 03 0065 0003", "0003 0000 0003 01 83 02"},
		{"none", "0004 0000 0006 01 03 0064 0000", "0004 0000 0003 01 83 03"},
		{"too many", "0005 0000 0006 01 03 0064 007E", "0005 0000 0003 01 83 03"},
		{"unknown unit", "0006 0000 0006 09 03 0064 0001", "0006 0000 0003 09 83 0B"},
		{"another function", "0007 0000 0006 01 2B 0E01 0000", "0007 0000 0003 01 AB 01"},
		{"function 6", "0008 0000 0006 01 06 0064 0001", "0008 0000 0003 01 86 01"},
		{"function 16", "0009 0000 0009 01 10 0064 0001 02 0001", "0009 0000 0003 01 90 01"},
		{"short read", "000A 0000 0004 01 03 0064", "000A 0000 0003 01 83 03"},
		{"long read", "000B 0000 0008 01 03 0064 0001 0000", "000B 0000 0003 01 83 03"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			send(t, c, tc.ask)
			expect(t, c, tc.want)
		})
	}
}

func TestFragmentsAndPipelines(t *testing.T) {
	c := dial(t, start(t, &device{regs: []uint16{1, 2, 3}}, 0))
	for _, b := range raw(t, "0001 0000 0006 01 03 0064 0001") { // byte by byte
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, c, "0001 0000 0005 01 03 02 0001")
	// Many requests in one segment, the last one cut in two; answers come in order.
	var all []byte
	for i := range 500 {
		all = append(all, raw(t, "0000 0000 0006 01 03 0065 0001")...)
		binary.BigEndian.PutUint16(all[len(all)-12:], uint16(i))
	}
	go func() {
		_, _ = c.Write(all[:len(all)-5])
		_, _ = c.Write(all[len(all)-5:])
	}()
	for i := range 500 {
		got := make([]byte, 11)
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if int(binary.BigEndian.Uint16(got)) != i || got[10] != 2 {
			t.Fatalf("answer %d is %x", i, got)
		}
	}
}

func TestGarbageClosesThatConnectionOnly(t *testing.T) {
	addr := start(t, &device{regs: []uint16{1}}, 0)
	good := dial(t, addr)
	for _, garbage := range []string{"0001 0001 0006 01 03 0064 0001", "0001 0000 0000 01", "0001 0000 FFFF 01 03", "0001 0000 0001 01 03"} {
		c := dial(t, addr)
		send(t, c, garbage)
		if n, err := c.Read(make([]byte, 10)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: got %d bytes, %v; want the connection closed", garbage, n, err)
		}
	}
	send(t, good, "0001 0000 0006 01 03 0064 0001")
	expect(t, good, "0001 0000 0005 01 03 02 0001")
}

func TestSpoils(t *testing.T) {
	const ask, fine = "0010 0000 0006 01 03 0064 0002", "0010 0000 0007 01 03 04 0001 0002"
	for _, tc := range []struct {
		name   string
		reply  Reply
		want   string
		closed bool
	}{
		{name: "silent", reply: Reply{Spoil: Silent}},
		{name: "close", reply: Reply{Spoil: Close}, closed: true},
		{name: "half", reply: Reply{Spoil: Half}, want: "0010 0000 0007"},
		{name: "wrong length", reply: Reply{Spoil: WrongLength}, want: "0010 0000 FFFF 01 03 04 0001 0002"},
		{name: "wrong transaction", reply: Reply{Spoil: WrongTransaction}, want: "5A6A 0000 0007 01 03 04 0001 0002"},
		{name: "wrong unit", reply: Reply{Spoil: WrongUnit}, want: "0010 0000 0007 FE 03 04 0001 0002"},
		{name: "short", reply: Reply{Spoil: Short}, want: "0010 0000 0005 01 03 02 0001"},
		{name: "noise", reply: Reply{Spoil: Noise}, want: "B5D4F312 31506F8E ADCCEB0A 29"},
		{name: "exception", reply: Reply{Exception: DeviceBusy}, want: "0010 0000 0003 01 83 06"},
		{name: "delay", reply: Reply{Delay: time.Millisecond}, want: fine},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &device{regs: []uint16{1, 2}}
			c := dial(t, start(t, d, 0))
			d.spoil(tc.reply)
			send(t, c, ask)
			expect(t, c, tc.want)
			if tc.closed {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("want EOF, got %v", err)
				}
				return
			}
			send(t, c, ask) // and the server goes on with the next one
			expect(t, c, fine)
		})
	}
}

func TestOldestConnectionIsThrownOut(t *testing.T) {
	addr := start(t, &device{regs: []uint16{7}}, 1)
	first := dial(t, addr)
	send(t, first, "0001 0000 0006 01 03 0064 0001")
	expect(t, first, "0001 0000 0005 01 03 02 0007")
	second := dial(t, addr)
	send(t, second, "0001 0000 0006 01 03 0064 0001")
	expect(t, second, "0001 0000 0005 01 03 02 0007")
	if _, err := first.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("first connection still open: %v", err)
	}
}

func TestServeEndsWithItsConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &device{regs: []uint16{1}}
	d.spoil(Reply{Delay: time.Hour})
	done := make(chan error, 1)
	go func() { done <- (&Server{Handler: d}).Serve(ctx, ln) }()
	c := dial(t, ln.Addr().String())
	send(t, c, "0001 0000 0006 01 03 0064 0001")
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve did not return")
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection still open: %v", err)
	}
}

// FuzzParseRequest: never a panic, never more used than given, and the same frames
// however the stream is cut.
func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{"", "0001", "0001 0000 0006 01 03 0064 0002", "0001 0000 0006 01 03 0064 0002 0002 0000 0002 01 07", "0001 0000 FFFF 01 03", "0001 0002 0006 01"} {
		f.Add(raw(f, s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		whole, wholeErr := frames(b)
		at := min(int(cut), len(b))
		var parts []Request
		var buf []byte
		var partErr error
		for _, piece := range [][]byte{b[:at], b[at:]} {
			buf = append(buf, piece...)
			for partErr == nil {
				q, n, err := ParseRequest(buf)
				if partErr = err; err != nil || n == 0 {
					break
				}
				parts, buf = append(parts, q), buf[n:]
			}
		}
		if len(whole) != len(parts) || (wholeErr == nil) != (partErr == nil) {
			t.Fatalf("%d frames (%v) at once, %d (%v) cut at %d", len(whole), wholeErr, len(parts), partErr, at)
		}
		for i, q := range whole {
			if q != parts[i] {
				t.Fatalf("frame %d: %+v, cut: %+v", i, q, parts[i])
			}
			out := appendReply(nil, q, (&device{}).ServeModbus(q))
			if len(out) < 9 || int(binary.BigEndian.Uint16(out[4:])) != len(out)-6 {
				t.Fatalf("answer %x to %+v", out, q)
			}
		}
	})
}

func frames(b []byte) (out []Request, err error) {
	for {
		q, n, err := ParseRequest(b)
		if err != nil || n == 0 {
			return out, err
		}
		if n > len(b) {
			return out, errors.New("used more than given")
		}
		out, b = append(out, q), b[n:]
	}
}
