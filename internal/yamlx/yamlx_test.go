package yamlx

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type device struct {
	Pos   Pos
	ID    string        `yaml:"id,required"`
	Every time.Duration `yaml:"every"`
	Unit  uint8         `yaml:"unit"`
}

func (d *device) SetDefaults() { d.Every = time.Second }

type common struct {
	Name string `yaml:"name"`
}

type target struct {
	common
	Limit   Size              `yaml:"limit"`
	Pass    Secret            `yaml:"pass"`
	Ratio   float64           `yaml:"ratio"`
	On      bool              `yaml:"on"`
	Brokers []string          `yaml:"brokers"`
	Devices []device          `yaml:"devices"`
	Enum    map[int]string    `yaml:"enum"`
	Set     map[string]any    `yaml:"set"`
	Sub     *common           `yaml:"sub"`
	Words   words             `yaml:"words"`
	Labels  map[string]common `yaml:"labels"`
}

// words is a text or a list of texts.
type words []string

func (w *words) UnmarshalYAMLX(n Node) {
	switch n.Kind() {
	case ListNode:
		n.Decode((*[]string)(w))
	case ScalarNode:
		var s string
		n.Decode(&s)
		*w = words{s}
	default:
		n.Errorf("want a text or a list of texts")
	}
}

func env(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func TestDecodeGood(t *testing.T) {
	got := target{Ratio: 0.5, Brokers: []string{"default"}, Limit: 7}
	_, err := Decode("x.yaml", []byte(`
name: alfa
limit: 64MiB
pass: ${PW}
on: true
brokers: [a:1, "${HOST}:2", "$${x}"]
devices:
  - &d {id: bank1, every: 250ms, unit: 0x10}
  - {id: bank2}
  - *d
enum: {0: off, 1: "on"}
set: {sign: -1, list: [1, 2.5, x, true, null], nested: {a: b}}
sub: {name: inner}
words: one
labels: {a: {name: b}}
`), &got, Options{Env: env(map[string]string{"PW": "1234", "HOST": "kafka"})})
	if err != nil {
		t.Fatal(err)
	}
	want := target{
		common: common{"alfa"}, Limit: 64 << 20, Pass: NewSecret("1234"), Ratio: 0.5, On: true,
		Brokers: []string{"a:1", "kafka:2", "${x}"},
		Devices: []device{
			{Pos{"x.yaml", 8, 5}, "bank1", 250 * time.Millisecond, 16},
			{Pos{"x.yaml", 9, 5}, "bank2", time.Second, 0},
			{Pos{"x.yaml", 8, 5}, "bank1", 250 * time.Millisecond, 16},
		},
		Enum:   map[int]string{0: "off", 1: "on"},
		Set:    map[string]any{"sign": int64(-1), "list": []any{int64(1), 2.5, "x", true, nil}, "nested": map[string]any{"a": "b"}},
		Sub:    &common{"inner"},
		Words:  words{"one"},
		Labels: map[string]common{"a": {"b"}},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(target{})); d != "" {
		t.Error(d)
	}
}

func TestDecodeTellsAllProblemsAtOnce(t *testing.T) {
	var got target
	doc, err := Decode("x.yaml", []byte(`nmae: alfa
limit: 64XB
ratio: a lot
on: yes
on: true
brokers: kafka:9092
devices:
  - {every: 15, unit: 256}
  - {id: 007, frobnicate: 1}
  - bank1
enum: {x: off}
pass: ${NOPE} ${ALSO}
sub: [1]
words: {a: 1}
name:
set: {<<: {a: 1}}
`), &got, Options{Env: env(nil)})
	if err == nil || doc == nil {
		t.Fatal("want problems and a document")
	}
	want := `x.yaml:1:1: nmae: unknown key; did you mean name?
x.yaml:2:8: limit: "64XB" is not a size; write for example 64MiB, 2GiB or 500kB
x.yaml:3:8: ratio: is "a lot"; want a number
x.yaml:4:5: on: is "yes"; want true or false
x.yaml:5:1: on: is there twice, first on line 4; remove one
x.yaml:6:10: brokers: is the text "kafka:9092"; want a list: [a, b] or lines that begin with -
x.yaml:8:5: devices[0].id: missing
x.yaml:8:13: devices[0].every: "15" has no unit; write for example 15ms, 15s or 15m
x.yaml:8:23: devices[0].unit: is "256"; want a whole number from 0 to 255
x.yaml:9:10: devices[1].id: want text; put it in quotes: "007"
x.yaml:9:15: devices[1].frobnicate: unknown key; known here: every, id, unit
x.yaml:10:5: devices[2]: is the text "bank1"; want a map with the keys every, id, unit
x.yaml:11:8: enum: is "x"; want a whole number
x.yaml:12:7: pass: environment variable NOPE is not set; set it, or write the value here; environment variable ALSO is not set; set it, or write the value here
x.yaml:13:6: sub: is a list; want a map with the keys name
x.yaml:14:8: words: want a text or a list of texts
x.yaml:15:6: name: has no value; want text, or remove the key
x.yaml:16:7: set.<<: merge keys (<<) are not supported; write the keys out`
	if d := cmp.Diff(want, err.Error()); d != "" {
		t.Error(d)
	}
}

func TestSyntaxProblems(t *testing.T) {
	for in, want := range map[string]string{
		"a: 1\nb: [1,2\n":  "x.yaml:3:1: not valid YAML: while parsing a flow sequence: did not find expected ',' or ']'",
		"name: a\n---\n{}": "x.yaml: not valid YAML: more than one document; remove the lines that read ---",
		"\ta: 1":           "x.yaml:1:1: not valid YAML: while scanning for the next token: found character that cannot start any token",
		"- 1":              "x.yaml:1:1: is a list; want a map with the keys brokers, devices, enum, labels, limit, name, on, pass, ratio, set, sub, words",
		"set: &a {b: *a}":  "x.yaml: anchors and aliases unfold too far; write the values out",
		"a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]": "x.yaml: anchors and aliases unfold too far; write the values out",
	} {
		_, err := Decode("x.yaml", []byte(in), &target{}, Options{})
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", in, err, want)
		}
	}
	for _, in := range []string{"", "\n# nothing\n", "{}"} {
		if _, err := Decode("x.yaml", []byte(in), &target{}, Options{}); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestExpandedValueIsNeverQuoted(t *testing.T) {
	_, err := Decode("x.yaml", []byte("limit: ${X}\nratio: ${X}\n"), &target{}, Options{Env: env(map[string]string{"X": "hunter2"})})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "${X}") {
		t.Errorf("got %v", err)
	}
}

func TestDocumentPlaces(t *testing.T) {
	d, err := Parse("x.yaml", []byte("kafka:\n  brokers: [a,\n    b]\nsite: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"kafka.brokers[1]": "x.yaml:3:5",
		"kafka.brokers[7]": "x.yaml:2:3",
		"kafka.topic":      "x.yaml:1:1",
		"site":             "x.yaml:4:1",
		"none":             "x.yaml:1:1",
	} {
		if got := d.At(path).String(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if d := cmp.Diff([]string{"kafka", "site"}, d.Keys()); d != "" {
		t.Error(d)
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := NewSecret("hunter2")
	type holder struct {
		Open   Secret
		hidden Secret
	}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "pw", s, "h", holder{s, s})
	j, _ := json.Marshal(holder{s, s})
	y, _ := Encode(target{Pass: s}, true)
	fmt.Fprint(&b, string(j), string(y))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb, s)
		fmt.Fprintf(&b, verb, holder{s, s})
		fmt.Fprintf(&b, verb, &s)
	}
	if strings.Contains(b.String(), "hunter2") || strings.Contains(b.String(), fmt.Sprintf("%x", "hunter2")) {
		t.Error(b.String())
	}
	if s.Reveal() != "hunter2" || !s.Equal(NewSecret("hunter2")) || s.Equal(Secret{}) {
		t.Error("reveal or equal")
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if s, err := ReadSecret(write("good", "pw with space \r\n")); err != nil || s.Reveal() != "pw with space " {
		t.Errorf("%q %v", s.Reveal(), err)
	}
	for _, p := range []string{write("empty", "\n"), write("big", strings.Repeat("x", maxSecretBytes+1)), dir, filepath.Join(dir, "none")} {
		if _, err := ReadSecret(p); err == nil {
			t.Errorf("%s: no error", p)
		}
	}
}

func TestDurationsAndSizes(t *testing.T) {
	for in, want := range map[string]time.Duration{"250ms": 250e6, "15m": 15 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, "1h30m": 90 * time.Minute} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "15", "x", "d", "-1d", "1d2d", "99999999d", "1.5d"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	for in, want := range map[string]Size{"0": 0, "512": 512, "64MiB": 64 << 20, "1.5KiB": 1536, "500kB": 500000, "2 GB": 2e9, "1B": 1} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "NaN", "Inf", "1e30", "64mib", "9223372036854775807TiB"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := Size(rapid.Int64Range(0, 1<<52).Draw(t, "size"))
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Fatalf("%d -> %s -> %d, %v", s, s, got, err)
		}
		d := time.Duration(rapid.Int64Range(0, int64(40000*time.Hour)).Draw(t, "duration"))
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%d -> %s -> %d, %v", d, FormatDuration(d), got, err)
		}
	})
}

func TestNearest(t *testing.T) {
	keys := []string{"brokers", "topic", "tls", "sasl"}
	for in, want := range map[string]string{"broker": "brokers", "bokrers": "brokers", "Topic": "topic", "topci": "topic", "tsl": "tls", "x": "", "password": "", "": ""} {
		if got := Nearest(in, keys); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestEncodeReadsBack(t *testing.T) {
	in := target{
		common: common{"a: b #"}, Limit: 64 << 20, Ratio: 1e-9, On: true, Brokers: []string{"a:1", "true", "1"},
		Devices: []device{{ID: "x", Every: 15 * time.Minute}}, Enum: map[int]string{1: "a"}, Set: map[string]any{"k": int64(1)},
		Sub: &common{""}, Words: words{"null"}, Labels: map[string]common{"z": {"q"}},
	}
	b, err := Encode(in, true)
	if err != nil {
		t.Fatal(err)
	}
	var out target
	if _, err := Decode("x.yaml", b, &out, Options{}); err != nil && !strings.Contains(err.Error(), "pass") {
		t.Fatalf("%v\n%s", err, b)
	}
	for i := range out.Devices {
		out.Devices[i].Pos = Pos{}
	}
	if d := cmp.Diff(in, out, cmp.AllowUnexported(target{})); d != "" {
		t.Errorf("%s\n%s", d, b)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: alfa\ndevices: [{id: a, every: 1s}]\nenum: {1: a}\nset: {a: [1, {b: c}]}\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n? [x]\n: 1\n"))
	f.Add([]byte("limit: ${A}\npass: $${\nratio: .inf\nwords: {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v target
		doc, err := Decode("f", b, &v, Options{Env: env(map[string]string{"A": "1"})})
		if err == nil {
			if _, err := Encode(v, false); err != nil {
				t.Fatal(err)
			}
		}
		if doc != nil {
			doc.At("devices[0].id")
		}
		if ps, ok := err.(Problems); err != nil && (!ok || len(ps) == 0) {
			t.Fatalf("error of type %T", err)
		}
	})
}
