package delta

import "fmt"

// FencedError says that the table's position for a source is not the one that
// the commit was based on: somebody else owns the source now, or has committed
// the same rows. Nothing was committed.
type FencedError struct {
	Table    string
	AppID    string
	Have     int64 // position in the table, NoVersion for none
	Expected int64 // position that the commit was based on
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("committing to table %s: fenced: position %q is %d, not %d as expected; another process commits for this source", e.Table, e.AppID, e.Have, e.Expected)
}

// Fenced marks the error for callers that do not import this package.
func (e *FencedError) Fenced() bool { return true }

// RemovedError says that a file which the commit wanted to replace is no
// longer part of the table: somebody else has compacted it. Nothing was committed.
type RemovedError struct {
	Table string
	Path  string
}

func (e *RemovedError) Error() string {
	return fmt.Sprintf("committing to table %s: %s was already removed by another commit", e.Table, e.Path)
}

// ProtocolError says that another program raised the table's protocol beyond
// what this package can honour.
type ProtocolError struct {
	Table          string
	Reader, Writer int
	Features       []string
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("table %s asks for reader version %d, writer version %d, features %v; bessd knows %d and %d: another program upgraded the table, restore it or use a new prefix", e.Table, e.Reader, e.Writer, e.Features, readerVersion, writerVersion)
}

// CorruptError says that the log cannot be read: a version is missing or
// damaged. It is never repaired by skipping.
type CorruptError struct {
	Table   string
	Version int64
	Err     error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("reading the log of table %s at version %d: %v; restore the file from a backup or another copy of the bucket", e.Table, e.Version, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }
