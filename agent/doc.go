// Package agent reads battery devices over Modbus TCP and turns every poll into scans, device records and events.
//
//	Config, maps -> Layout -> plan (blocks, decoders)      immutable until the device changes
//	                              |
//	one owner goroutine per TCP endpoint, one request in flight:
//
//	   tick --> fast blocks --> slices of slow tiers in the free time --> rows (bess.Scan) --> bess/wire --> Sink
//	             |                                                          ^
//	             +-- no answer: bad scans of every known device of the unit-+
//
// A unit is one device of the configuration: one Modbus unit id behind one endpoint with one register map. It feeds one
// or more devices of the site. A unit that does not answer is asked again at growing intervals, and its devices still
// yield a bad scan at each tick, which costs nobody any time. What is known of a unit is kept in State, so that this
// holds from the first tick of a fresh start.
//
// Nothing here writes to a device.
package agent
