package wire

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// reader walks over the fields of a message in place.
type reader struct {
	b    []byte
	base int // offset of b in the envelope
	pos  int
}

// field is one field as it stands in the message.
type field struct {
	num  protowire.Number
	typ  protowire.Type
	u    uint64 // varint, fixed32, fixed64
	b    []byte // length-delimited
	at   int    // offset of the tag in the envelope
	body int    // offset of b in the envelope
}

// next reads one field; false at the end of the message.
func (r *reader) next(f *field) (bool, error) {
	if r.pos >= len(r.b) {
		return false, nil
	}
	f.at = r.base + r.pos
	num, typ, n := protowire.ConsumeTag(r.b[r.pos:])
	if n < 0 {
		return false, &DecodeError{Offset: f.at, What: "field tag", Err: protowire.ParseError(n)}
	}
	r.pos += n
	f.num, f.typ, f.u, f.b = num, typ, 0, nil
	rest := r.b[r.pos:]
	switch typ {
	case protowire.VarintType:
		f.u, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed64Type:
		f.u, n = protowire.ConsumeFixed64(rest)
	case protowire.Fixed32Type:
		var u uint32
		u, n = protowire.ConsumeFixed32(rest)
		f.u = uint64(u)
	case protowire.BytesType:
		f.b, n = protowire.ConsumeBytes(rest)
		if n >= 0 {
			f.body = r.base + r.pos + n - len(f.b)
		}
	default:
		return false, &DecodeError{Offset: f.at, What: fmt.Sprintf("field %d: wire type %d is not used here", num, typ)}
	}
	if n < 0 {
		return false, &DecodeError{Offset: f.at, What: fmt.Sprintf("field %d", num), Err: protowire.ParseError(n)}
	}
	r.pos += n
	return true, nil
}

// want refuses a field of another wire type than the schema's.
func (f *field) want(typ protowire.Type, what string) error {
	if f.typ != typ {
		return f.bad(what, "wire type %d, want %d", f.typ, typ)
	}
	return nil
}

func (f *field) bad(what, format string, args ...any) error {
	return &DecodeError{Offset: f.at, What: what + ": " + fmt.Sprintf(format, args...)}
}

// number reads a varint as int64.
func (f *field) number(to *int64, what string) error {
	if err := f.want(protowire.VarintType, what); err != nil {
		return err
	}
	*to = int64(f.u)
	return nil
}

// small reads a varint that fits 8 bits.
func (f *field) small(what string) (uint8, error) {
	if err := f.want(protowire.VarintType, what); err != nil {
		return 0, err
	}
	if f.u > math.MaxUint8 {
		return 0, f.bad(what, "%d is too large", f.u)
	}
	return uint8(f.u), nil
}

// bytes reads a length-delimited field, once.
func (f *field) bytes(to *field, what string) error {
	if err := f.want(protowire.BytesType, what); err != nil {
		return err
	}
	if to.num != 0 {
		return f.bad(what, "stands twice")
	}
	*to = *f
	return nil
}

// sub gives a reader of the field's content.
func (f *field) sub() reader { return reader{b: f.b, base: f.body} }

// varints walks over packed numbers.
type varints struct {
	b   []byte
	pos int
}

func (v *varints) more() bool { return v.pos < len(v.b) }

// next reads one number; false when the bytes are no varint or have ended.
func (v *varints) next() (uint64, bool) {
	if b := v.b[v.pos:]; len(b) > 1 { // most numbers take one byte or two
		if b[0] < 0x80 {
			v.pos++
			return uint64(b[0]), true
		}
		if b[1] < 0x80 {
			v.pos += 2
			return uint64(b[0]&0x7f) | uint64(b[1])<<7, true
		}
	}
	return v.long()
}

func (v *varints) long() (uint64, bool) {
	u, n := protowire.ConsumeVarint(v.b[v.pos:])
	if n < 0 {
		return 0, false
	}
	v.pos += n
	return u, true
}
