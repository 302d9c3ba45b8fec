package modbus

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bessd/internal/sim/mbap"
)

// handler answers with the address of each register, unless reply says otherwise.
type handler struct {
	reply atomic.Pointer[mbap.Reply]
	last  atomic.Pointer[mbap.Request]
}

func (h *handler) ServeModbus(q mbap.Request) mbap.Reply {
	h.last.Store(&q)
	out := make([]uint16, q.Count)
	for i := range out {
		out[i] = q.Address + uint16(i)
	}
	if r := h.reply.Load(); r != nil {
		c := *r
		if c.Exception == 0 {
			c.Registers = out
		}
		return c
	}
	return mbap.Reply{Registers: out}
}

func serve(t *testing.T) (*Client, *handler) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &handler{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&mbap.Server{Handler: h}).Serve(ctx, ln) }()
	t.Cleanup(func() { cancel(); <-done })
	c, err := New(ln.Addr().String(), 80*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, h
}

func TestRead(t *testing.T) {
	c, h := serve(t)
	if _, err := c.Read(1, Holding, 0, 1); err == nil {
		t.Error("a read before Open succeeds")
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil { // must not leak a socket: the server would see a second connection
		t.Fatal(err)
	}
	for _, fn := range []Function{Holding, Input} {
		regs, err := c.Read(17, fn, 40000, 125)
		if err != nil || len(regs) != 125 || regs[124] != 40124 {
			t.Fatalf("%s: %v, %d registers", fn, err, len(regs))
		}
		if q := h.last.Load(); q.Unit != 17 || q.Function != byte(fn) {
			t.Errorf("request %+v", q)
		}
	}
	for _, bad := range []struct {
		fn   Function
		addr uint16
		n    int
	}{{Holding, 0, 0}, {Holding, 0, 126}, {Holding, 65535, 2}, {6, 0, 1}, {16, 0, 1}} {
		if _, err := c.Read(1, bad.fn, bad.addr, bad.n); err == nil || !c.IsOpen() {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestExceptionsKeepTheConnection(t *testing.T) {
	c, h := serve(t)
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	for _, code := range []byte{1, 2, 3, 4, 5, 6, 8, 10, 11, 17, 99} {
		h.reply.Store(&mbap.Reply{Exception: code})
		_, err := c.Read(1, Holding, 1, 1)
		e := AsException(err)
		if e == nil || e.Code != code || !c.IsOpen() {
			t.Errorf("exception %d: %v, open %v", code, err, c.IsOpen())
			continue
		}
		if e.IllegalAddress() != (code == 2) || e.Busy() != (code == 5 || code == 6) || e.TargetDown() != (code == 10 || code == 11) {
			t.Errorf("exception %d is classed wrongly", code)
		}
	}
}

// TestGarbageCloses spoils one answer: the read fails, the connection is closed, and after Open the next read is right.
func TestGarbageCloses(t *testing.T) {
	for _, spoil := range []mbap.Spoil{mbap.Silent, mbap.Close, mbap.Half, mbap.WrongLength, mbap.WrongTransaction, mbap.WrongUnit, mbap.Short, mbap.Noise} {
		c, h := serve(t)
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		h.reply.Store(&mbap.Reply{Spoil: spoil})
		regs, err := c.Read(1, Holding, 5, 3)
		if err == nil || AsException(err) != nil || c.IsOpen() {
			t.Errorf("spoil %d: %v %v, open %v", spoil, regs, err, c.IsOpen())
		}
		h.reply.Store(nil)
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		if regs, err := c.Read(1, Holding, 7, 1); err != nil || regs[0] != 7 {
			t.Errorf("spoil %d: after it %v %v", spoil, regs, err)
		}
	}
}

// TestNothingWrites looks for the library's write functions in our sources: they must not get into the binary.
func TestNothingWrites(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if strings.Contains(string(src), `"github.com/simonvetter/modbus"`) && filepath.Base(filepath.Dir(path)) != "modbus" && filepath.Base(path) != "deps_tmp.go" {
			t.Errorf("%s imports the Modbus library", path)
		}
		for _, name := range []string{"WriteCoil", "WriteRegister", "WriteUint", "WriteFloat", "WriteRawBytes"} {
			if strings.Contains(string(src), "."+name) {
				t.Errorf("%s uses %s", path, name)
			}
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Errorf("looked into %d files: %v", files, err)
	}
}
