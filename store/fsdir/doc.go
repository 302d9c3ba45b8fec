// Package fsdir is an object store in a local directory.
//
// An object appears all at once or not at all, also across a power cut: it is
// written beside its place under a name that begins with '.', synced, linked
// (put-if-absent) or renamed into place, and then the directory is synced.
// link(2) is what makes put-if-absent safe: creating the final name first and
// filling it later leaves a torn commit after a crash, which no reader of the
// table survives.
package fsdir
