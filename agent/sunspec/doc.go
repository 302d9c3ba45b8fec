// Package sunspec finds the SunSpec models of a Modbus unit and lays them out as devices.
//
//	"SunS" at 40000, 0 or 50000 --> chain of (ID, L) --> Chain --Build--> maps.Layout
//
// Discover only reads what tells models apart: ID, L, counts and indexes. Values, scale factors and sentinels are read
// with every poll. A Chain is small and can be kept; Build is a pure function of it.
package sunspec
