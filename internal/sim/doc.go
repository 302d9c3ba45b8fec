// Package sim serves simulated battery sites over Modbus TCP.
//
//	plant.Site --refresh--> image (immutable registers per unit) --mbap--> clients
//	                          ^ faults of the plant    ^ faults of the answers |
//	                                                                           v
//	                                                              ledger of what was served
//
// A site is banks, converters (PCS) and a meter; see SiteConfig. Every refresh moves
// the plant by refresh x speed, builds the registers of each unit and swaps them in at
// once, so that one read never mixes two instants. Registers follow the SunSpec models
// 1, 203, 701, 713, 714, 802, 803, 804, 805, or for banks the Pylontech Powercube M2
// map. The counter 802.Hb grows by one at each refresh; the ledger keeps it with every
// answer, which lets a test pair what a client has read with what the plant was.
//
// Nothing here is a product of a named vendor: the values are synthetic, the maps come
// from published sources and were not checked against hardware.
package sim
