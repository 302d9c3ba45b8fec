// Package mbap is a small Modbus TCP server: it cuts a byte stream into MBAP frames,
// hands each read request to a Handler and writes the answer, in the order of the
// requests, one at a time per connection.
//
//	conn -> frame (7 bytes header, PDU) -> Request -> Handler -> Reply -> bytes -> conn
//	                                                                 \-> Observer
//
// It serves reads of holding registers (3) and input registers (4) and nothing else:
// every other function is answered with exception 1. A Reply may carry a Spoil, which
// makes the server misbehave on the wire on purpose; tests of Modbus clients need that.
// Source of the frame layout: MODBUS Messaging on TCP/IP Implementation Guide V1.0b
// and MODBUS Application Protocol V1.1b3.
package mbap
