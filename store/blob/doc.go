// Package blob has what all object stores of the lake agree on: how an object
// is described, how a failure is classified where it is born, and how
// transient failures are waited out.
//
// Absence and presence are said with the standard library's words: a missing
// object is an error that wraps fs.ErrNotExist, a refused put-if-absent one
// that wraps fs.ErrExist. Everything else is an *Error with a Kind.
package blob
