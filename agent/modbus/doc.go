// Package modbus reads registers over Modbus TCP. It is a strict wrapper around github.com/simonvetter/modbus v1.6.4 and
// its only importer: it never writes, and it never goes on with a connection whose stream may be out of step.
//
//	closed --Open--> open --Read ok or exception--> open
//	                   |
//	                   +--any other error--> closed (the caller opens it again)
//
// Why so strict: after a timeout within a frame, a wrong length or a foreign unit id the library would read the rest of
// one answer as the head of the next for ever. It also leaks the socket when opened twice and panics when it reads
// before it was opened; both cannot happen here.
package modbus
