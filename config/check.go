package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bessd/internal/obs"
	"bessd/internal/yamlx"
)

// checker gathers the problems and warnings of one file.
type checker struct {
	doc      *yamlx.Document
	base     string // directory of the file
	raw      map[string]bool
	problems yamlx.Problems
	warnings yamlx.Problems
}

func (c *checker) bad(path, format string, args ...any) {
	c.problems.Add(c.doc.Problem(path, format, args...))
}

func (c *checker) warn(path, format string, args ...any) {
	c.warnings.Add(c.doc.Problem(path, format, args...))
}

func (c *checker) required(path, value, what string) {
	if value == "" {
		c.bad(path, "missing; write %s", what)
	}
}

// path makes p absolute or relative to the working directory, as the file's directory is.
func (c *checker) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.base, p)
}

// IsPath tells the path of a map from a name.
func IsPath(m string) bool {
	return strings.ContainsAny(m, `/\`) || strings.HasSuffix(m, ".yaml") || strings.HasSuffix(m, ".yml")
}

func (c *checker) dir(path, value string) string {
	c.required(path, value, "a directory, such as "+path+": /var/lib/bessd")
	return c.path(value)
}

func (c *checker) file(path, value string) string {
	if value == "" {
		return ""
	}
	p := c.path(value)
	if st, err := os.Stat(p); err != nil || st.IsDir() {
		c.bad(path, "there is no file %s; correct the path (it is relative to the configuration's directory)", p)
	}
	return p
}

func (c *checker) secretFile(path string, file *string) yamlx.Secret {
	if *file == "" {
		c.bad(path, "missing; write the path of a file that holds nothing but the secret")
		return yamlx.Secret{}
	}
	*file = c.path(*file)
	s, err := yamlx.ReadSecret(*file)
	if err != nil {
		c.bad(path, "%v", err)
		return yamlx.Secret{}
	}
	if st, err := os.Stat(*file); err == nil && st.Mode().Perm()&0o077 != 0 {
		c.warn(path, "%s can be read by others (mode %04o); chmod 600 it", *file, st.Mode().Perm())
	}
	return s
}

func (c *checker) duration(path string, d, low, high time.Duration) {
	if d < low || d > high {
		c.bad(path, "is %s; want %s to %s", yamlx.FormatDuration(d), yamlx.FormatDuration(low), yamlx.FormatDuration(high))
	}
}

func (c *checker) size(path string, s, low, high yamlx.Size) {
	if s < low || s > high {
		c.bad(path, "is %s; want %s to %s", s, low, high)
	}
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

func (c *checker) kafka(path string, k *Kafka) {
	if len(k.Brokers) == 0 {
		c.bad(path+".brokers", "missing; name at least one, such as [kafka-1:9092]")
	}
	for i, b := range k.Brokers {
		host, port, err := net.SplitHostPort(b)
		if n, perr := strconv.Atoi(port); err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
			c.bad(fmt.Sprintf("%s.brokers[%d]", path, i), "is %q; want host:port, such as kafka-1:9092", b)
		} else if slices.Index(k.Brokers, b) < i {
			c.bad(fmt.Sprintf("%s.brokers[%d]", path, i), "%s is there twice; remove one", b)
		}
	}
	if !topicName.MatchString(k.Topic) || k.Topic == "." || k.Topic == ".." {
		c.bad(path+".topic", "is %q; want 1 to 249 of letters, digits, ., _ and -", k.Topic)
	}
	c.duration(path+".request_timeout", k.RequestTimeout, 100*time.Millisecond, 5*time.Minute)
	if t := k.TLS; t != nil {
		t.CAFile = c.file(path+".tls.ca_file", t.CAFile)
		if (t.CertFile == "") != (t.KeyFile == "") {
			c.bad(path+".tls", "has one of cert_file and key_file; write both or none")
		}
		t.CertFile, t.KeyFile = c.file(path+".tls.cert_file", t.CertFile), c.file(path+".tls.key_file", t.KeyFile)
	}
	if k.SASL != nil {
		c.sasl(path+".sasl", k.SASL, k.TLS != nil)
	}
}

func (c *checker) sasl(path string, s *SASL, encrypted bool) {
	if !slices.Contains([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, s.Mechanism) {
		c.bad(path+".mechanism", "is %q; want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
	}
	c.required(path+".username", s.Username, "the user")
	switch {
	case !s.Password.IsZero() && s.PasswordFile != "":
		c.bad(path+".password", "stands beside password_file; keep one of them")
	case s.PasswordFile != "":
		s.Password = c.secretFile(path+".password_file", &s.PasswordFile)
	case s.Password.IsZero() && !c.doc.Has(path+".password"):
		c.bad(path+".password_file", "missing; write the path of a file that holds the password, or password: ${NAME}")
	case !c.raw[path+".password"] && !s.Password.IsZero():
		c.warn(path+".password", "stands in the file in clear; write password: ${NAME} or password_file")
	}
	if s.Mechanism == "PLAIN" && !encrypted {
		c.warn(path+".mechanism", "PLAIN without tls sends the password in clear")
	}
}

func (c *checker) http(path string, h HTTP) {
	if h.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(h.Listen)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		c.bad(path+".listen", "is %q; want host:port, such as 127.0.0.1:8080", h.Listen)
		return
	}
	switch {
	case loopback(host):
	case h.Insecure:
		c.warn(path+".listen", "serves without encryption and authentication to whoever reaches %s", h.Listen)
	default:
		c.bad(path+".listen", "%s is not a loopback address; listen on 127.0.0.1 behind a proxy, or set insecure: true", h.Listen)
	}
}

func (c *checker) log(path string, l Log) {
	if err := (obs.LogConfig{Level: l.Level}).Validate(); err != nil || l.Level == "" {
		c.bad(path+".level", "is %q; want debug, info, warn or error", l.Level)
	}
	if l.Format != "text" && l.Format != "json" {
		c.bad(path+".format", "is %q; want text or json", l.Format)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
