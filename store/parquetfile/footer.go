package parquetfile

import (
	"encoding/binary"
	"errors"
)

// maxDepth bounds how deep a footer's structures nest; Parquet's own are five levels deep.
const maxDepth = 32

var errFooter = errors.New("the footer is damaged")

// checkFooter walks a footer, a structure in Thrift's compact protocol, and refuses one that promises more than it
// holds: the library allocates a list as long as its header says before it reads the first element.
func checkFooter(footer []byte) error {
	w := walker{footer}
	return w.value(typeStruct, maxDepth)
}

// Types of Thrift's compact protocol.
const (
	typeTrue   = 1
	typeFalse  = 2
	typeByte   = 3
	typeI16    = 4
	typeI32    = 5
	typeI64    = 6
	typeDouble = 7
	typeBinary = 8
	typeList   = 9
	typeSet    = 10
	typeMap    = 11
	typeStruct = 12
	typeUUID   = 13
)

// walker holds what is left of the input.
type walker struct{ b []byte }

func (w *walker) skip(n uint64) error {
	if n > uint64(len(w.b)) {
		return errFooter
	}
	w.b = w.b[n:]
	return nil
}

func (w *walker) byte() (byte, error) {
	if len(w.b) == 0 {
		return 0, errFooter
	}
	c := w.b[0]
	w.b = w.b[1:]
	return c, nil
}

func (w *walker) varint() (uint64, error) {
	v, n := binary.Uvarint(w.b)
	if n <= 0 {
		return 0, errFooter
	}
	w.b = w.b[n:]
	return v, nil
}

// value passes over one value outside a field header, where a bool takes a byte as every other value does at least.
func (w *walker) value(kind byte, depth int) error {
	if depth == 0 {
		return errFooter
	}
	switch kind {
	case typeTrue, typeFalse, typeByte:
		return w.skip(1)
	case typeI16, typeI32, typeI64:
		_, err := w.varint()
		return err
	case typeDouble:
		return w.skip(8)
	case typeUUID:
		return w.skip(16)
	case typeBinary:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case typeList, typeSet:
		return w.list(depth - 1)
	case typeMap:
		return w.mapping(depth - 1)
	case typeStruct:
		return w.structure(depth - 1)
	}
	return errFooter
}

func (w *walker) list(depth int) error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	return w.values(n, depth, head&15)
}

func (w *walker) mapping(depth int) error {
	n, err := w.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := w.byte()
	if err != nil {
		return err
	}
	return w.values(n, depth, kinds>>4, kinds&15)
}

// values passes over n groups of values. Each takes a byte at least, so that n is bounded by what is left.
func (w *walker) values(n uint64, depth int, kinds ...byte) error {
	if n > uint64(len(w.b)) {
		return errFooter
	}
	for range n {
		for _, kind := range kinds {
			if err := w.value(kind, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) structure(depth int) error {
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // the field's number is written out
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		kind := head & 15
		if kind == typeTrue || kind == typeFalse { // the value is in the header
			continue
		}
		if err := w.value(kind, depth); err != nil {
			return err
		}
	}
}
