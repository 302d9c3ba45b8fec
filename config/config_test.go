package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bessd/internal/yamlx"
)

func noEnv(string) (string, bool) { return "", false }

func TestDetect(t *testing.T) {
	for keys, want := range map[string]Mode{
		"site kafka endpoints": ModeAgent, "endpoints": ModeAgent, "store": ModeCentral, "sites": ModeSim, "kafka data_dir log": ModeUnknown,
		"": ModeUnknown, "sites store": ModeUnknown, "store archive sites": ModeCentral,
	} {
		if got := detect(strings.Fields(keys)); got != want {
			t.Errorf("%s: got %q, want %q", keys, got, want)
		}
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	f, err := Load("testdata/agent.good.yaml", ModeUnknown, func(string) (string, bool) { return "k:1", true })
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		f.Agent.DataDir:                     "testdata/data",
		f.Agent.Kafka.TLS.CAFile:            "testdata/ca.pem",
		f.Agent.Endpoints[0].Devices[1].Map: "testdata/maps/my-meter.yaml",
		f.Agent.Endpoints[0].Devices[0].Map: "sunspec",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := f.Agent.Kafka.SASL.Password.Reveal(); got != "hunter2" {
		t.Errorf("password %q", got)
	}
	if f, err = Load("testdata/central-file.good.yaml", ModeUnknown, noEnv); err != nil || f.Central.Store.Dir() != "testdata/lake" {
		t.Errorf("%v %v", f.Central.Store, err)
	}
}

func TestStoreURLs(t *testing.T) {
	for url, want := range map[string][2]string{"s3://bucket/a/b/": {"bucket", "a/b"}, "s3://bucket": {"bucket", ""}} {
		s, err := ParseStore(url)
		if b, p := s.Bucket(); err != nil || [2]string{b, p} != want {
			t.Errorf("%s: %q %q %v", url, b, p, err)
		}
	}
	if s, err := ParseStore("file:///srv/lake"); err != nil || s.Dir() != "/srv/lake" {
		t.Errorf("%v %v", s, err)
	}
	for _, bad := range []string{"", "lake", "gs://b", "s3://B_", "s3://k:s@bucket"} {
		if _, err := ParseStore(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "open"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	const text = `site: a
data_dir: d
kafka: {brokers: ["k:1"], sasl: {mechanism: PLAIN, username: u, %s}}
http: {listen: "0.0.0.0:1", insecure: true}
endpoints: [{address: "h:1", devices: [{id: a}]}]
`
	for password, want := range map[string][]string{
		"password: clear":     {"PLAIN without tls", "in clear; write password: ${NAME}", "without encryption and authentication"},
		"password: '${PW}'":   {"PLAIN without tls", "without encryption and authentication"},
		"password_file: open": {"PLAIN without tls", "can be read by others (mode 0644)", "without encryption and authentication"},
	} {
		f, err := Parse(filepath.Join(dir, "agent.yaml"), fmt.Appendf(nil, text, password), ModeAgent, func(string) (string, bool) { return "v", true })
		if err != nil {
			t.Fatal(err)
		}
		got := f.Warnings.Error()
		if len(f.Warnings) != len(want) {
			t.Errorf("%s: got %s", password, got)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in %s", password, w, got)
			}
		}
	}
}

func TestPlace(t *testing.T) {
	f, err := Parse("a.yaml", []byte("site: a\ndata_dir: d\nkafka: {brokers: ['k:1']}\nendpoints:\n  - address: h:1\n    devices:\n      - {id: x}\n"), ModeAgent, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	said := errors.Join(errors.New("endpoints[0].devices[0].id: bad"), errors.New("endpoints[0].nothing 5: worse"), errors.New("what: else"), errors.New("site: known"))
	got := f.Place(said, yamlx.Problems{{Path: "site"}}).Error()
	want := "a.yaml:7:10: endpoints[0].devices[0].id: bad\na.yaml:5:5: endpoints[0].nothing: 5: worse\na.yaml: what: else"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, uint8(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, mode uint8) {
		m := append([]Mode{ModeUnknown}, Modes()...)[mode%4]
		file, err := Parse("testdata/fuzz.yaml", text, m, noEnv)
		var problems yamlx.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		if err == nil {
			if _, err := file.Print(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
