package obs

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the registry of one instance. Create it with NewMetrics.
type Metrics struct {
	reg    *prometheus.Registry
	labels prometheus.Labels
}

// NewMetrics makes an empty registry whose metrics all carry the given constant labels, such as site.
func NewMetrics(labels map[string]string) *Metrics {
	return &Metrics{prometheus.NewRegistry(), labels}
}

// Process adds the figures of the Go runtime and the process; for one registry per process.
func (m *Metrics) Process() {
	m.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

var nameParts = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Name builds bessd_<pkg>_<what>_<unit>; unit may be "" for plain numbers. Counters end in total, as unit
// "seconds_total" or "total".
func Name(pkg, what, unit string) string {
	name := "bessd_" + pkg + "_" + what
	if unit != "" {
		name += "_" + unit
	}
	return name
}

// Gauge adds a figure that goes up and down; read is called at each scrape, from any goroutine. An error says that the
// name is not valid or taken.
func (m *Metrics) Gauge(pkg, what, unit, help string, labels map[string]string, read func() float64) error {
	return m.add(Name(pkg, what, unit), help, labels, func(o prometheus.Opts) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts(o), read)
	})
}

// Counter adds a figure that only grows, under a name that ends in total; read as in Gauge.
func (m *Metrics) Counter(pkg, what, unit, help string, labels map[string]string, read func() float64) error {
	if unit != "" {
		unit += "_"
	}
	return m.add(Name(pkg, what, unit+"total"), help, labels, func(o prometheus.Opts) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts(o), read)
	})
}

func (m *Metrics) add(name, help string, labels map[string]string, make func(prometheus.Opts) prometheus.Collector) error {
	if !nameParts.MatchString(name) {
		return fmt.Errorf("metric name %q: want lower case words joined by _", name)
	}
	all := prometheus.Labels{}
	for k, v := range m.labels {
		all[k] = v
	}
	for k, v := range labels {
		all[k] = v
	}
	if err := m.reg.Register(make(prometheus.Opts{Name: name, Help: help, ConstLabels: all})); err != nil {
		return fmt.Errorf("metric %s: %w", name, err)
	}
	return nil
}

// Handler serves the registries together in Prometheus' text form.
func Handler(ms ...*Metrics) http.Handler {
	var all prometheus.Gatherers
	for _, m := range ms {
		all = append(all, m.reg)
	}
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{})
}
