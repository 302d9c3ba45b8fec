// Package parquetfile opens Parquet files that may be damaged. The library
// believes what a footer says: a length of four gigabytes is allocated before it is
// found to be wrong, and some damage makes it panic. Here lengths and offsets are
// compared with the file's size first, and panics become errors.
package parquetfile
