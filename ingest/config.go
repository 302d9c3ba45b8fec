package ingest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Config says which cluster to talk to and how.
type Config struct {
	// Brokers are the bootstrap addresses, each host:port; at least one.
	Brokers []string
	// Topics are those that this client will use. Metadata of other topics is
	// not asked for, which matters on a metered link and a large cluster.
	Topics []string
	// ClientID names this program in the broker's logs; empty is "bessd".
	ClientID string
	// TLS encrypts connections; nil is plain text.
	TLS *TLS
	// SASL authenticates; nil is none.
	SASL *SASL
	// RequestTimeout bounds each request, connecting included; 0 is 10 s.
	RequestTimeout time.Duration
	// MetadataEvery is the longest time between two looks at the cluster's
	// layout; 0 is one minute. Errors make the client look at once.
	MetadataEvery time.Duration
}

// TLS are the settings of encrypted connections. Files are PEM.
type TLS struct {
	CAFile   string // authorities to trust; empty trusts the system's
	CertFile string // client certificate, with KeyFile; empty sends none
	KeyFile  string
	// ServerName is the name to verify where it differs from the broker's host.
	ServerName string
}

// Mechanism is a way to authenticate.
type Mechanism string

// The mechanisms that brokers offer.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
)

// SASL are credentials. String and slog output never show the password.
type SASL struct {
	Mechanism Mechanism
	Username  string
	Password  string
}

// String hides the password.
func (s SASL) String() string { return fmt.Sprintf("%s %s:***", s.Mechanism, s.Username) }

// GoString hides the password.
func (s SASL) GoString() string { return s.String() }

// Validate reports every problem of c.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("kafka brokers: none given; name at least one host:port"))
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("kafka broker %q: write it as host:port, usually port 9092", b))
		}
	}
	if t := c.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, errors.New("kafka tls: a client certificate needs both cert_file and key_file"))
	}
	if s := c.SASL; s != nil {
		switch s.Mechanism {
		case Plain, ScramSHA256, ScramSHA512:
		default:
			errs = append(errs, fmt.Errorf("kafka sasl mechanism %q: use one of %s, %s, %s", s.Mechanism, Plain, ScramSHA256, ScramSHA512))
		}
		if s.Username == "" || s.Password == "" {
			errs = append(errs, errors.New("kafka sasl: needs a username and a password"))
		}
		if s.Mechanism == Plain && c.TLS == nil {
			errs = append(errs, errors.New("kafka sasl PLAIN would send the password readable: add tls, or use "+string(ScramSHA256)))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = "bessd"
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 10 * time.Second
	}
	if c.MetadataEvery == 0 {
		c.MetadataEvery = time.Minute
	}
	return c
}

// config reads the files and builds what crypto/tls wants.
func (t *TLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading kafka tls ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka tls ca_file %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading kafka tls client certificate: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil
	}
	switch s.Mechanism {
	case Plain:
		return plain.Mechanism{Username: s.Username, Password: s.Password}, nil
	case ScramSHA256:
		return scram.Mechanism(scram.SHA256, s.Username, s.Password)
	case ScramSHA512:
		return scram.Mechanism(scram.SHA512, s.Username, s.Password)
	}
	return nil, fmt.Errorf("kafka sasl mechanism %q is unknown", s.Mechanism)
}
