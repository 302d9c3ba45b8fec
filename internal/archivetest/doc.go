// Package archivetest tests and measures the archive over the real store: package process on store/tables on a directory,
// with failures injected between the store and the directory. Neither room may import the other, so their test lives
// here. It has no code of its own.
package archivetest
