// Package plant is the physics behind the simulator: a site of battery banks
// (racks of modules of cells), power conversion systems, auxiliary load and a
// meter, stepped in fixed slices of plant time.
//
//	duty (hour) -> AC set point -> BMS limits -> DC power of each bank
//	                                               |
//	      bus voltage from all racks in parallel <-+   G V^2 - (sum E/R) V + P = 0
//	                |
//	      rack current -> cell charge, RC pair, hysteresis, heat -> temperature
//	                |                                                  |
//	      cell voltages, alarms, limits of the next step  <- resistance(temperature)
//
// Every figure follows from the seed and the number of steps: two sites with
// equal Params and equal step counts are equal in each bit. Nothing here reads a
// clock, starts a goroutine or locks; the caller owns a Site and serialises its use.
//
// Sign: positive current and power leave the battery (discharge, export).
// The cell data are typical values for large prismatic cells, chosen to look right
// to a battery engineer; they are not a model of one product.
package plant
