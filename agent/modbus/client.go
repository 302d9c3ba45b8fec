package modbus

import (
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/simonvetter/modbus"
)

// MaxRegisters is the most that one request may ask for.
const MaxRegisters = 125

// DialTimeout is how long Open can take; the library fixes it.
const DialTimeout = 5 * time.Second

// Function is a Modbus function code that reads registers.
type Function uint8

// The two functions that a Client uses.
const (
	Holding Function = 3
	Input   Function = 4
)

// Client is one TCP connection to one endpoint, used for any of the unit ids behind it. It is not safe for concurrent
// use: one goroutine owns it and has one request in flight.
type Client struct {
	address string
	lib     *modbus.ModbusClient
	open    bool
}

// New makes a closed Client for host:port. timeout bounds one request.
func New(address string, timeout time.Duration) (*Client, error) {
	lib, err := modbus.NewClient(&modbus.ClientConfiguration{
		URL:     "tcp://" + address,
		Timeout: timeout,
		Logger:  log.New(io.Discard, "", 0), // the library prints to stdout otherwise
	})
	if err != nil {
		return nil, fmt.Errorf("modbus client for %s: %w", address, err)
	}
	return &Client{address: address, lib: lib}, nil
}

// Open connects; it does nothing when the connection is open. It blocks for at most DialTimeout.
func (c *Client) Open() error {
	if c.open {
		return nil
	}
	if err := c.lib.Open(); err != nil {
		return fmt.Errorf("connecting to %s: %w", c.address, err)
	}
	c.open = true
	return nil
}

// IsOpen reports whether Read can work.
func (c *Client) IsOpen() bool { return c.open }

// Close drops the connection, if there is one.
func (c *Client) Close() error {
	if !c.open {
		return nil
	}
	c.open = false
	return c.lib.Close()
}

// ErrClosed is returned by Read when the connection is not open.
var ErrClosed = errors.New("connection is closed")

// Read asks one unit for n registers from address. An answer that says no is an *Exception and leaves the connection
// open; after any other error the connection is closed. It blocks for at most the timeout. The result is the caller's.
func (c *Client) Read(unit uint8, fn Function, address uint16, n int) ([]uint16, error) {
	regs, err := c.read(unit, fn, address, n)
	if err != nil {
		return nil, fmt.Errorf("reading unit %d %s %d+%d: %w", unit, fn, address, n, err)
	}
	return regs, nil
}

func (c *Client) read(unit uint8, fn Function, address uint16, n int) ([]uint16, error) {
	if n < 1 || n > MaxRegisters || int(address)+n > 1<<16 {
		return nil, fmt.Errorf("want 1 to %d registers below 65536", MaxRegisters)
	}
	kind := modbus.HOLDING_REGISTER
	switch fn {
	case Holding:
	case Input:
		kind = modbus.INPUT_REGISTER
	default:
		return nil, fmt.Errorf("function %d does not read registers", fn)
	}
	if !c.open {
		return nil, ErrClosed
	}
	_ = c.lib.SetUnitId(unit) // state of the library's client; it cannot fail
	regs, err := c.lib.ReadRegisters(address, uint16(n), kind)
	if err == nil && len(regs) != n { // the library checks this; a wrong count must never be decoded
		err = modbus.ErrProtocolError
	}
	if err == nil {
		return regs, nil
	}
	if e := exceptionOf(err); e != nil {
		return nil, e
	}
	_ = c.Close() // the stream may be out of step; nothing more can be done about its error
	return nil, err
}

// String names the function as register maps do.
func (f Function) String() string {
	switch f {
	case Holding:
		return "holding"
	case Input:
		return "input"
	}
	return fmt.Sprintf("function%d", uint8(f))
}
