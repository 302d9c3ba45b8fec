// Package columns is the columnar language between the parts that make rows
// (process) and the part that stores them (store). It is standard library
// only, so that neither has to import the other.
//
//	Schema   what the columns of a table are
//	Source   rows [0, n) asked for column by column, in ranges   (a section)
//	Vector   the cells of one column for one range of rows       (the answer)
//	Rows     a Source filled row by row, for small tables
//
// Null is not a number: a cell is null or it has a value, and a null list and
// an empty list are different things.
package columns
