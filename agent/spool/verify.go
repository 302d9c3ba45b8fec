package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// Layout of a bbolt 1.x file (go.etcd.io/bbolt/internal/common), little endian
// on every platform that we build for.
const (
	pageHeader  = 16 // id u64, flags u16, count u16, overflow u32
	elementSize = 16 // branch: pos, ksize u32, pgid u64; leaf: flags, pos, ksize, vsize u32
	metaSize    = 64 // magic, version, pageSize, flags u32, root, sequence, freelist, pgid, txid, checksum u64

	branchPage, leafPage = 0x01, 0x02
	bucketFlag           = 0x01
	boltMagic            = 0xED0CDAED
	boltVersion          = 2

	// A tree of 64 MB of one-record pages is four levels deep; damage must not send us deeper.
	maxDepth = 16
)

var errNotBolt = errors.New("no valid meta page")

// verify walks every page of a bbolt file that a reader can reach, without
// bbolt and without mapping the file, and returns how many bytes it uses.
//
// It is needed because bbolt trusts its pages: damage can make it read beyond
// the file's end, recurse for ever, or panic in a goroutine of its own, each of
// which ends the process whatever recover() we place. After verify, reading
// ends and stays inside the file.
func verify(path string) (used int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	m, err := readMeta(f)
	if err != nil {
		return 0, err
	}
	v := verifier{f: f, pageSize: int64(m.pageSize), pages: m.pages}
	if used = int64(m.pages) * v.pageSize; used > st.Size() || used < 0 {
		return 0, fmt.Errorf("the file has %d bytes and should have at least %d", st.Size(), used)
	}
	v.seen = make([]bool, m.pages)
	if err := v.tree(m.root, 0); err != nil {
		return 0, err
	}
	return used, nil
}

type meta struct {
	pageSize    uint32
	root, pages uint64
	txid        uint64
}

// readMeta returns the newest of the two meta pages that is whole.
func readMeta(f io.ReaderAt) (meta, error) {
	var best meta
	found := false
	// The second meta page starts at the page size, which the first one may no
	// longer be able to tell.
	offsets := []int64{0, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}
	for _, off := range offsets {
		var b [pageHeader + metaSize]byte
		if _, err := f.ReadAt(b[:], off); err != nil {
			continue
		}
		p := b[pageHeader:]
		u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(p[i:]) }
		u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(p[i:]) }
		h := fnv.New64a()
		h.Write(p[:56])
		if u32(0) != boltMagic || u32(4) != boltVersion || u64(56) != h.Sum64() {
			continue
		}
		m := meta{pageSize: u32(8), root: u64(16), pages: u64(40), txid: u64(48)}
		if off != 0 && int64(m.pageSize) != off || m.pageSize < 512 || m.pageSize > 65536 || m.pages > 1<<32 {
			continue
		}
		if !found || m.txid > best.txid {
			best, found = m, true
		}
	}
	if !found {
		return best, errNotBolt
	}
	return best, nil
}

type verifier struct {
	f        io.ReaderAt
	pageSize int64
	pages    uint64
	seen     []bool
}

// tree checks the page id and everything below it.
func (v *verifier) tree(id uint64, depth int) error {
	if depth > maxDepth {
		return errors.New("the tree is too deep")
	}
	if id < 2 || id >= v.pages {
		return fmt.Errorf("page %d lies outside the file", id)
	}
	var head [pageHeader]byte
	if _, err := v.f.ReadAt(head[:], int64(id)*v.pageSize); err != nil {
		return err
	}
	overflow := uint64(binary.LittleEndian.Uint32(head[12:]))
	if binary.LittleEndian.Uint64(head[0:]) != id || id+overflow >= v.pages {
		return fmt.Errorf("page %d has a damaged header", id)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		v.seen[i] = true
	}
	page := make([]byte, int64(overflow+1)*v.pageSize)
	if _, err := v.f.ReadAt(page, int64(id)*v.pageSize); err != nil {
		return err
	}
	return v.page(page, id, depth)
}

// page checks the elements of one page; an inline bucket is a page too.
func (v *verifier) page(page []byte, id uint64, depth int) error {
	if len(page) < pageHeader {
		return fmt.Errorf("page %d is short", id)
	}
	flags, count := binary.LittleEndian.Uint16(page[8:]), int(binary.LittleEndian.Uint16(page[10:]))
	if flags != branchPage && flags != leafPage || flags == branchPage && count == 0 || pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("page %d has a damaged header", id)
	}
	for i := range count {
		at := pageHeader + i*elementSize
		e := page[at : at+elementSize]
		u32 := func(j int) uint64 { return uint64(binary.LittleEndian.Uint32(e[j:])) }
		if flags == branchPage {
			if uint64(at)+u32(0)+u32(4) > uint64(len(page)) {
				return fmt.Errorf("page %d, entry %d reaches outside", id, i)
			}
			if err := v.tree(binary.LittleEndian.Uint64(e[8:]), depth+1); err != nil {
				return err
			}
			continue
		}
		start := uint64(at) + u32(4)
		value := start + u32(8)
		end := value + u32(12)
		if end > uint64(len(page)) {
			return fmt.Errorf("page %d, entry %d reaches outside", id, i)
		}
		if u32(0)&bucketFlag == 0 {
			continue
		}
		if err := v.bucket(page[value:end], id, depth); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks the value that describes a bucket: root page and sequence, or
// root 0 and the page itself.
func (v *verifier) bucket(b []byte, id uint64, depth int) error {
	if len(b) < 16 {
		return fmt.Errorf("page %d holds a damaged bucket", id)
	}
	if root := binary.LittleEndian.Uint64(b); root != 0 {
		return v.tree(root, depth+1)
	}
	if depth > maxDepth {
		return errors.New("the tree is too deep")
	}
	return v.page(b[16:], id, depth+1)
}
