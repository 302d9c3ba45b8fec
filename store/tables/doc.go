// Package tables says what the tables of the lake look like and moves rows between them and the domain.
//
//	bess.Flush --Stage--> one Parquet file per table and date --Upload--> --Commit--> Delta table
//	ledger table --Rows--> bess.LedgerRow            telemetry --Matches--> is it the row that we have?
//
// Lake satisfies what process asks of a lake, a ledger and a row lookup. The tables' columns are described in
// docs/format/tables.md and, one file each, telemetry.md, rollup.md and ledger.md. All tables are divided by dt, the UTC
// date of ts, minute or the row's own time.
package tables
