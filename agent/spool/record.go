package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// Position orders records in the spool. Positions ascend for ever and are not
// reused; there may be gaps. The first one is 1.
type Position uint64

// Meta says what a record is about, for reports on lost records. The spool
// does not interpret it.
type Meta struct {
	Device string // device id within the site, empty for records about the agent itself
	Epoch  uint64 // run of the agent
	Seq    uint64 // number within device and epoch
	Tick   time.Time
}

// Record is one message to deliver.
type Record struct {
	Position Position // set by the spool
	Meta     Meta
	At       time.Time // when the agent took the record, milliseconds
	Payload  []byte
}

// Size is what the record counts against bounds in memory: payload, meta and bookkeeping.
func (r *Record) Size() int { return len(r.Payload) + len(r.Meta.Device) + recordOverhead }

// recordOverhead is the in-memory cost of a Record beside its bytes.
const recordOverhead = 128

var errDamaged = errors.New("record is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord encodes r: CRC-32C of position and the rest (4 bytes, little
// endian), then at (ms), epoch, seq, tick (us) and the device's length as
// varints, device, payload.
func appendRecord(dst []byte, r *Record) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.AppendVarint(dst, r.At.UnixMilli())
	dst = binary.AppendUvarint(dst, r.Meta.Epoch)
	dst = binary.AppendUvarint(dst, r.Meta.Seq)
	dst = binary.AppendVarint(dst, tickMicro(r.Meta.Tick))
	dst = binary.AppendUvarint(dst, uint64(len(r.Meta.Device)))
	dst = append(dst, r.Meta.Device...)
	dst = append(dst, r.Payload...)
	binary.LittleEndian.PutUint32(dst[start:], checksum(r.Position, dst[start+4:]))
	return dst
}

// tickMicro keeps the zero time apart from 1970.
func tickMicro(t time.Time) int64 {
	if t.IsZero() {
		return -1 << 63
	}
	return t.UnixMicro()
}

func checksum(p Position, body []byte) uint32 {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], uint64(p))
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, body)
}

// decodeRecord is the inverse of appendRecord. The payload is copied.
func decodeRecord(p Position, b []byte) (Record, error) {
	r := Record{Position: p}
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != checksum(p, b[4:]) {
		return r, errDamaged
	}
	b = b[4:]
	ok := true
	signed := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	unsigned := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	r.At = time.UnixMilli(signed()).UTC()
	r.Meta.Epoch = unsigned()
	r.Meta.Seq = unsigned()
	if us := signed(); us != -1<<63 {
		r.Meta.Tick = time.UnixMicro(us).UTC()
	}
	n := unsigned()
	if !ok || n > uint64(len(b)) {
		return r, errDamaged
	}
	r.Meta.Device = string(b[:n])
	r.Payload = append([]byte(nil), b[n:]...)
	return r, nil
}

func key(p Position) []byte { return binary.BigEndian.AppendUint64(nil, uint64(p)) }

func position(key []byte) (Position, bool) {
	if len(key) != 8 {
		return 0, false
	}
	return Position(binary.BigEndian.Uint64(key)), true
}
