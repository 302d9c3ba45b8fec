package config

import (
	"fmt"
	"slices"
	"strings"

	"bessd/internal/yamlx"
)

// Reference writes every key of a mode with its default and what it means. Optional sections, which are off when absent,
// stand as comments, so that the text is a valid configuration.
func Reference(mode Mode) ([]byte, error) {
	ep, dev, site := Endpoint{Address: "10.0.0.5:502"}, Device{ID: "bank1"}, SimSite{}
	ep.SetDefaults()
	dev.SetDefaults()
	site.SetDefaults()
	ep.Devices, site.ID = []Device{dev}, "alfa"
	sasl, s3 := SASL{}, S3{}
	sasl.SetDefaults()
	s3.SetDefaults()
	switch mode {
	case ModeAgent:
		v := DefaultAgent()
		v.Site, v.DataDir, v.Endpoints = "alfa", "/var/lib/bessd", []Endpoint{ep}
		v.Kafka.Brokers, v.Kafka.TLS, v.Kafka.SASL = []string{"kafka-1:9092"}, &TLS{}, &sasl
		return reference(v, "tls", "sasl")
	case ModeCentral:
		v := DefaultCentral()
		v.CreateTopic = &CreateTopic{}
		v.CreateTopic.SetDefaults()
		v.DataDir, v.Store = "/var/lib/bessd", Store{URL: "s3://bucket/prefix", S3: &s3}
		v.Kafka.Brokers, v.Kafka.TLS, v.Kafka.SASL = []string{"kafka-1:9092"}, &TLS{}, &sasl
		return reference(v, "tls", "sasl", "create_topic")
	case ModeSim:
		v := DefaultSim()
		v.Sites = []SimSite{site}
		return reference(v)
	}
	return nil, fmt.Errorf("mode %q; want agent, central or sim", mode)
}

// reference encodes v with comments; the sections under the optional keys become comments.
func reference(v any, optional ...string) ([]byte, error) {
	text, err := yamlx.Encode(v, true)
	if err != nil || len(optional) == 0 {
		return text, err
	}
	var out strings.Builder
	out.WriteString("# A section that is commented out is off; to use it, remove the first \"# \" of each of its lines.\n")
	margin := -1 // of the section that is being commented out
	for line := range strings.Lines(string(text)) {
		rest := strings.TrimLeft(line, " ")
		indent := len(line) - len(rest)
		if margin >= 0 && indent <= margin {
			margin = -1
		}
		if margin < 0 && slices.Contains(optional, strings.TrimSuffix(rest, ":\n")) {
			margin = indent
		}
		if margin >= 0 {
			line = line[:margin] + "# " + line[margin:]
		}
		out.WriteString(line)
	}
	return []byte(out.String()), nil
}
