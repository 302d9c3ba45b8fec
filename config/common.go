package config

import (
	"bessd/internal/yamlx"
	"time"
)

// Kafka says which cluster to talk to, and how.
type Kafka struct {
	Brokers        []string      `yaml:"brokers" doc:"bootstrap addresses, host:port"`
	Topic          string        `yaml:"topic" doc:"topic of the telemetry"`
	ClientID       string        `yaml:"client_id,omitempty" doc:"name in the broker's logs"`
	RequestTimeout time.Duration `yaml:"request_timeout" doc:"bound of one request, connecting included"`
	TLS            *TLS          `yaml:"tls,omitempty" doc:"encrypts connections; {} trusts the system's authorities"`
	SASL           *SASL         `yaml:"sasl,omitempty" doc:"authenticates"`
}

// TLS names the PEM files of encrypted connections.
type TLS struct {
	CAFile     string `yaml:"ca_file,omitempty" doc:"authorities to trust instead of the system's"`
	CertFile   string `yaml:"cert_file,omitempty" doc:"client certificate, with key_file"`
	KeyFile    string `yaml:"key_file,omitempty" doc:"key of the client certificate"`
	ServerName string `yaml:"server_name,omitempty" doc:"name to verify where it differs from the broker's host"`
}

// SASL are the credentials of Kafka. After loading, Password holds what PasswordFile held.
type SASL struct {
	Mechanism    string       `yaml:"mechanism" doc:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"`
	Username     string       `yaml:"username" doc:"user"`
	Password     yamlx.Secret `yaml:"password,omitempty" doc:"password; better ${NAME} or password_file"`
	PasswordFile string       `yaml:"password_file,omitempty" doc:"file that holds nothing but the password"`
}

// SetDefaults sets what is not written.
func (s *SASL) SetDefaults() { s.Mechanism = "SCRAM-SHA-512" }

// printed leaves out the password that a file holds, so that what is printed can be loaded again.
func (s *SASL) printed() *SASL {
	if s == nil || s.PasswordFile == "" {
		return s
	}
	p := *s
	p.Password = yamlx.Secret{}
	return &p
}

// HTTP says where to serve /metrics, /healthz and /readyz.
type HTTP struct {
	Listen   string `yaml:"listen" doc:"loopback host:port; \"\" serves nothing"`
	Insecure bool   `yaml:"insecure,omitempty" doc:"allows another address although nothing is encrypted or authenticated"`
}

// Log says how to log; to standard error.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error"`
	Format string `yaml:"format" doc:"text or json"`
}

func defaultKafka() Kafka {
	return Kafka{Topic: "bess.telemetry", RequestTimeout: 10 * time.Second}
}

func defaultLog() Log { return Log{Level: "info", Format: "text"} }
