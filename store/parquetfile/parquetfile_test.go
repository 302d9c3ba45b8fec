package parquetfile

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func TestOpen(t *testing.T) {
	var b bytes.Buffer
	if err := parquet.Write(&b, []struct{ A int64 }{{1}, {2}}); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	if f, err := Open(bytes.NewReader(good), int64(len(good))); err != nil || f.NumRows() != 2 {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": {}, "short": []byte("PAR1PAR1"), "cut": good[:len(good)-1],
		"footer of 4 GB": append(append([]byte{}, good[:len(good)-8]...), "\xff\xff\xff\xffPAR1"...),
		// Field 2, a list of 100 million structures, in a footer of seven bytes.
		"list without elements": append([]byte("PAR1"), "\x29\xfc\x80\xc2\xd7\x2f\x00\x07\x00\x00\x00PAR1"...),
		"only a footer":         append(append([]byte("PAR1"), make([]byte, 40)...), good[len(good)-8:]...),
	} {
		if _, err := Open(bytes.NewReader(bad), int64(len(bad))); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
