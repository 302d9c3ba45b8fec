package yamlx

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"log/slog"
)

// ParseDuration reads a duration such as "250ms", "15m", "1h30m" or "7d" (a day is 24 h, and comes first).
func ParseDuration(s string) (time.Duration, error) {
	rest, days := s, time.Duration(0)
	if n, tail, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration; write for example 250ms, 15m or 7d", s)
		}
		if days = time.Duration(v) * 24 * time.Hour; tail == "" {
			return days, nil
		}
		rest = tail
	}
	if rest == "0" {
		return days, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		if _, numErr := strconv.ParseFloat(rest, 64); numErr == nil {
			return 0, fmt.Errorf("%q has no unit; write for example %sms, %ss or %sm", s, rest, rest, rest)
		}
		return 0, fmt.Errorf("%q is not a duration; write for example 250ms, 15m or 7d", s)
	}
	return days + d, nil
}

// FormatDuration writes a duration as ParseDuration reads it, without needless zeros: "15m", not "15m0s".
func FormatDuration(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes, written "512", "64KiB", "64MiB", "2GiB", "1TiB" or with decimal units "500kB", "10MB", "1GB".
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{ // longest match first; binary units first so that String prefers them
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a Size. A bare number counts bytes.
func ParseSize(s string) (Size, error) {
	num, unit := s, int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			num, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || v < 0 || math.IsNaN(v) || v*float64(unit) > 1<<62 {
		return 0, fmt.Errorf("%q is not a size; write for example 64MiB, 2GiB or 500kB", s)
	}
	if n, err := strconv.ParseInt(num, 10, 64); err == nil {
		return Size(n * unit), nil
	}
	return Size(math.Round(v * float64(unit))), nil
}

// String gives the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			if u.bytes == 1 {
				break
			}
			return fmt.Sprintf("%d%s", int64(s)/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Secret is a text that is never printed: every format verb, JSON, YAML and slog give "***". The zero value is unset.
// The text sits behind a pointer so that a struct dump shows an address at most.
type Secret struct{ text *string }

// NewSecret wraps a text; "" is unset.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal gives the text itself, for handing it to the library that needs it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is unset.
func (s Secret) IsZero() bool { return s.text == nil }

const masked = "***"

// String gives "***", or "" when unset.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return masked
}

// Format masks the secret under every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText masks the secret in JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue masks the secret in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Equal compares two secrets.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// maxSecretBytes bounds a secret file, so that a wrong path is not read into memory whole.
const maxSecretBytes = 64 << 10

// ReadSecret reads a secret from a file without the newline at its end. Errors name the file, never its content.
func ReadSecret(path string) (Secret, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Secret{}, fmt.Errorf("reading secret: %w; create the file or correct the path", err)
	}
	if st.IsDir() || st.Size() > maxSecretBytes {
		return Secret{}, fmt.Errorf("reading secret %s: want a file of %d bytes at most that holds nothing but the secret", path, maxSecretBytes)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("reading secret: %w; let the service's user read it", err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return Secret{}, fmt.Errorf("reading secret %s: the file is empty", path)
	}
	return NewSecret(s), nil
}

// Expand replaces ${NAME} by lookup(NAME); $${ stands for a literal ${. Every missing name is told.
func Expand(s string, lookup func(string) (string, bool)) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var b strings.Builder
	var errs []error
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), errors.Join(errs...)
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1])
			b.WriteString("${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		name, rest, ok := strings.Cut(s[i+2:], "}")
		if !ok {
			return "", errors.Join(append(errs, errors.New("${ without }; write $${ for a literal ${"))...)
		}
		switch v, found := lookup(name); {
		case !envName(name):
			errs = append(errs, fmt.Errorf("${%s}: not the name of an environment variable; write $${ for a literal ${", name))
		case !found:
			errs = append(errs, fmt.Errorf("environment variable %s is not set; set it, or write the value here", name))
		default:
			b.WriteString(v)
		}
		s = rest
	}
}

func envName(s string) bool {
	for i, r := range s {
		if !(r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return s != ""
}
