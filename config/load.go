package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"bessd/internal/yamlx"
)

// Mode is what a configuration is for.
type Mode string

// Modes. ModeUnknown lets Load find out by the keys.
const (
	ModeUnknown Mode = ""
	ModeAgent   Mode = "agent"
	ModeCentral Mode = "central"
	ModeSim     Mode = "sim"
)

// Modes lists the modes that have a configuration.
func Modes() []Mode { return []Mode{ModeAgent, ModeCentral, ModeSim} }

// File is a loaded configuration: the struct of its mode is set, the others are nil.
type File struct {
	Mode     Mode
	Agent    *Agent
	Central  *Central
	Sim      *Sim
	Warnings yamlx.Problems // sorted; what works but should be changed

	doc *yamlx.Document
}

// Env looks an environment variable up, as os.LookupEnv does.
type Env func(name string) (string, bool)

// Load reads the file at path. With ModeUnknown the keys decide. The error is yamlx.Problems, with all of them; the File
// is not nil when the mode was clear, so that a caller can check on and tell everything at once (see File.Place).
func Load(path string, mode Mode, env Env) (*File, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, yamlx.Problems{{Pos: yamlx.Pos{File: path}, Message: "there is no such file; correct the path, or begin with an example from docs/manual/examples"}}
	}
	if err != nil {
		return nil, yamlx.Problems{{Pos: yamlx.Pos{File: path}, Message: fmt.Sprintf("reading: %v", errors.Unwrap(err))}}
	}
	return Parse(path, data, mode, env)
}

// Parse is Load for data that is already read; path names it and is where relative paths begin.
func Parse(path string, data []byte, mode Mode, env Env) (*File, error) {
	doc, err := yamlx.Parse(path, data)
	if err != nil {
		return nil, err
	}
	if mode == ModeUnknown {
		if mode = detect(doc.Keys()); mode == ModeUnknown {
			return nil, yamlx.Problems{{Pos: yamlx.Pos{File: path}, Message: "cannot tell what this configures; an agent has endpoints, a central has store, a simulator has sites: correct the keys, or use --mode"}}
		}
	}
	f := &File{Mode: mode, doc: doc}
	c := &checker{doc: doc, base: filepath.Dir(path)}
	var target any
	var check func(*checker)
	switch mode {
	case ModeAgent:
		v := DefaultAgent()
		f.Agent, target, check = &v, &v, v.check
	case ModeCentral:
		v := DefaultCentral()
		f.Central, target, check = &v, &v, v.check
	case ModeSim:
		v := DefaultSim()
		f.Sim, target, check = &v, &v, v.check
	default:
		return nil, fmt.Errorf("mode %q; want agent, central or sim", mode)
	}
	used := map[string]bool{}
	derr := doc.Decode(target, yamlx.Options{
		Env: env,
		Unknown: func(path, key string) string {
			return unknown(mode, path, key)
		},
		Expanded: func(path string) { used[path] = true },
	})
	c.raw = used
	check(c)
	var problems yamlx.Problems
	errors.As(derr, &problems)
	for _, p := range c.problems { // what could not be read need not be checked as well
		if !problems.Cover(p.Path) {
			problems.Add(p)
		}
	}
	if err := c.warnings.Err(); err != nil {
		f.Warnings = c.warnings
	}
	return f, problems.Err()
}

// keysOf gives the top-level keys of each mode.
func keysOf(m Mode) []string {
	switch m {
	case ModeAgent:
		return yamlx.Keys(Agent{})
	case ModeCentral:
		return yamlx.Keys(Central{})
	case ModeSim:
		return yamlx.Keys(Sim{})
	}
	return nil
}

// detect tells the mode by the keys that only it has; ModeUnknown when none or several are there.
func detect(keys []string) Mode {
	own := map[Mode]int{}
	for _, k := range keys {
		if ms := modesWith(k); len(ms) == 1 {
			own[ms[0]]++
		}
	}
	best := slices.Collect(maps.Keys(own))
	slices.SortFunc(best, func(a, b Mode) int { return own[b] - own[a] })
	if len(best) == 0 || len(best) > 1 && own[best[0]] == own[best[1]] {
		return ModeUnknown
	}
	return best[0]
}

func modesWith(key string) []Mode {
	var ms []Mode
	for _, m := range Modes() {
		if slices.Contains(keysOf(m), key) {
			ms = append(ms, m)
		}
	}
	return ms
}

// unknown explains keys that people may expect.
func unknown(mode Mode, path, key string) string {
	if path == "kafka" && key == "proxy" {
		return "is not supported yet; reach the brokers directly or through a tunnel"
	}
	if path == "http" && (key == "tls" || key == "tokens") {
		return "is not supported yet; listen on a loopback address behind a proxy that does it"
	}
	if path != "" {
		return ""
	}
	does := map[Mode]string{
		ModeAgent:   "an agent reads devices and forwards to Kafka",
		ModeCentral: "a central reads Kafka and writes the tables",
		ModeSim:     "a simulator only answers Modbus",
	}
	if ms := modesWith(key); len(ms) > 0 && !slices.Contains(ms, mode) {
		names := make([]string, len(ms))
		for i, m := range ms {
			names[i] = "bessd " + string(m)
		}
		return fmt.Sprintf("belongs to %s: %s; move it there", strings.Join(names, " and "), does[mode])
	}
	return ""
}

var leadingPath = regexp.MustCompile(`(?s)^([a-z_0-9]+(?:\[[0-9]+\])?(?:\.[a-z_0-9]+(?:\[[0-9]+\])?)*)(?::| )\s*(.*)$`)

// Place finds the lines for what a part said about its figures: err is one or several joined errors that begin with the
// path of a key. What is already in known at the same path is left out.
func (f *File) Place(err error, known error) yamlx.Problems {
	var have yamlx.Problems
	errors.As(known, &have)
	var out yamlx.Problems
	for _, e := range flatten(err) {
		p := yamlx.Problem{Pos: yamlx.Pos{File: f.doc.File()}, Message: e.Error()}
		if m := leadingPath.FindStringSubmatch(e.Error()); m != nil && slices.Contains(keysOf(f.Mode), firstKey(m[1])) {
			p = f.doc.Problem(m[1], "%s", strings.ReplaceAll(m[2], "\n", "; "))
		}
		if !have.Cover(p.Path) {
			out.Add(p)
		}
	}
	return out
}

func firstKey(path string) string {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return path
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

// Print writes the configuration with its defaults as YAML; secrets read "***", those of files are left out.
func (f *File) Print() ([]byte, error) {
	switch f.Mode {
	case ModeAgent:
		v := *f.Agent
		v.Kafka.SASL = v.Kafka.SASL.printed()
		return yamlx.Encode(v, false)
	case ModeCentral:
		v := *f.Central
		v.Kafka.SASL = v.Kafka.SASL.printed()
		return yamlx.Encode(v, false)
	}
	return yamlx.Encode(*f.Sim, false)
}
