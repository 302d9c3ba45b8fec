// Package parquetv1 is the first format of data files: columns to a Parquet
// file and back. Files written by it stay readable for ever; another format
// gets another package.
//
//	columns.Source ──(64 k rows at a time, column by column)──► Write ──► file + statistics
//	file ──(row group by row group, chosen columns)──► Read ──► []columns.Vector
//
// What is special about our data: over a hundred columns of which most are null in
// most rows, few distinct values per column, rows sorted by device and time.
// Hence zstd, dictionaries with a bound, delta-packed integers, data pages of
// version 1 (version 2 leaves the levels of lists uncompressed, and they are
// worth compressing) and large pages. Not used: BYTE_STREAM_SPLIT, which Spark
// refuses.
//
// Values go through parquet-go's column writers; its struct writers corrupt
// nulls (v0.32.0). A panic of the library becomes an error at our boundary.
package parquetv1
