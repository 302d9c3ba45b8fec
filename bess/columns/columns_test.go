package columns

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var allTypes = []Type{Timestamp, Int64, Double, String, Binary, Bool, FloatList, StringList, BoolList, DoubleMap}

func cell(t *rapid.T, typ Type) any {
	if rapid.IntRange(0, 2).Draw(t, "null") == 0 {
		return nil
	}
	switch typ {
	case Timestamp, Int64:
		return rapid.Int64().Draw(t, "i")
	case Double:
		return rapid.Float64Range(-1e9, 1e9).Draw(t, "d")
	case String, Binary:
		return rapid.String().Draw(t, "s")
	case Bool:
		return rapid.Bool().Draw(t, "b")
	case FloatList:
		n := rapid.IntRange(0, 3).Draw(t, "n")
		plain, withNull := make([]float32, n), make([]*float32, n)
		null := false
		for i := range n {
			plain[i] = rapid.Float32Range(0, 5).Draw(t, "f")
			if rapid.Bool().Draw(t, "elem") {
				withNull[i] = &plain[i]
			} else {
				null = true
			}
		}
		if null {
			return withNull
		}
		return plain
	case StringList:
		return rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "ss")
	case BoolList:
		return rapid.SliceOfN(rapid.Bool(), 0, 3).Draw(t, "bs")
	}
	return rapid.MapOfN(rapid.String(), rapid.Float64Range(-1, 1), 0, 3).Draw(t, "m")
}

// TestRowsRoundTrip says that what goes in as rows comes out as the same
// cells, whatever the mix of nulls, in one range or in two.
func TestRowsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(allTypes).Draw(t, "type")
		rows := NewRows(Schema{{Name: "x", Type: typ, Nullable: true}})
		n := rapid.IntRange(0, 20).Draw(t, "rows")
		var want []any
		for range n {
			c := cell(t, typ)
			if err := rows.Append(c); err != nil {
				t.Fatal(err)
			}
			want = append(want, c)
		}
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		var got []any
		var v Vector
		for _, r := range [][2]int{{0, cut}, {cut, n}} {
			v.Reset(typ)
			if err := rows.Column(0, r[0], r[1], &v); err != nil {
				t.Fatal(err)
			}
			if err := v.Check(); err != nil {
				t.Fatal(err)
			}
			if v.Rows() != r[1]-r[0] {
				t.Fatalf("%d rows for [%d, %d)", v.Rows(), r[0], r[1])
			}
			for i := range v.Rows() {
				got = append(got, v.Cell(i))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestAppendRefusesWithoutTouching(t *testing.T) {
	rows := NewRows(Schema{{Name: "a", Type: Int64}, {Name: "b", Type: String}})
	for _, bad := range [][]any{{int64(1)}, {int64(1), nil}, {int64(1), 2.0}, {nil, "x"}} {
		if err := rows.Append(bad...); err == nil {
			t.Fatalf("%v was taken", bad)
		}
	}
	if err := rows.Append(1, "x"); err != nil {
		t.Fatal(err)
	}
	if rows.Rows() != 1 || rows.cols[0].Rows() != 1 || rows.cols[1].Rows() != 1 {
		t.Fatal("a refused row left cells behind")
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, spoil := range map[string]func(v *Vector){
		"wrong append":    func(v *Vector) { v.Reset(Double); v.AppendInt64(1) },
		"ends descend":    func(v *Vector) { v.Reset(FloatList); v.AppendFloats([]float32{1}, nil); v.Ends[0] = 2 },
		"keys and values": func(v *Vector) { v.Reset(DoubleMap); v.AppendMap([]string{"a"}, nil) },
		"no type":         func(v *Vector) { v.Reset(Invalid); v.AppendInt64(1) },
	} {
		var v Vector
		spoil(&v)
		if v.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSchemaValidate(t *testing.T) {
	for _, s := range []Schema{{}, {{Name: "a b", Type: Int64}}, {{Name: "a"}}, {{Name: "a", Type: Int64}, {Name: "a", Type: Bool}}} {
		if s.Validate() == nil {
			t.Errorf("%v accepted", s)
		}
	}
}
