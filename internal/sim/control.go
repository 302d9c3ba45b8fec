package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"bessd/internal/sim/plant"
)

func weaken(rack *plant.Rack, f Fault) {
	factor := f.Factor
	if factor == 0 {
		factor = 4
	}
	// A cell that does not exist is left alone: sizes differ between sites.
	rack.SetWeak(f.Module-1, f.Cell-1, factor, 1/math.Sqrt(max(factor, 1)))
}

// control is the HTTP endpoint that switches faults.
//
//	POST /fault   {"site":"alfa","device":"bank1","kind":"delay","value":250}
//	              {"site":"alfa","unit":1,"kind":"clear"}
//	GET  /endpoints
//
// value: milliseconds for delay, the code for exception, the probability for all other
// faults of answers, the factor for weak_cell. kind "clear" takes back the faults of
// the device, of the whole site when no device is named.
type control struct {
	sim *Sim

	mu sync.Mutex
	ln net.Listener
}

type faultRequest struct {
	Site        string  `json:"site"`
	Device      string  `json:"device"`
	Unit        uint8   `json:"unit"`
	Kind        string  `json:"kind"`
	Value       float64 `json:"value"`
	Address     int     `json:"address"`
	Count       int     `json:"count"`
	Probability float64 `json:"probability"`
	Rack        int     `json:"rack"`
	Module      int     `json:"module"`
	Cell        int     `json:"cell"`
	AfterMS     int64   `json:"after_ms"`
	ForMS       int64   `json:"for_ms"`
}

func newControl(s *Sim) *control { return &control{sim: s} }

func (c *control) listen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening on %s for the simulator's control (choose another control.listen): %w", addr, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ln = ln
	return nil
}

func (c *control) addr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ln == nil {
		return ""
	}
	return c.ln.Addr().String()
}

func (c *control) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ln != nil {
		_ = c.ln.Close()
	}
}

func (c *control) run(ctx context.Context) error {
	srv := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	c.mu.Lock()
	ln := c.ln
	c.mu.Unlock()
	if err := srv.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the simulator's control: %w", err)
	}
	return nil
}

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		// A web page of another origin cannot send JSON without asking first.
		if r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, "want Content-Type: application/json", http.StatusUnsupportedMediaType)
			return
		}
		var q faultRequest
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&q); err != nil {
			http.Error(w, "reading the fault: "+err.Error(), http.StatusBadRequest)
			return
		}
		n, err := c.apply(q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]int{"faults": n})
	})
	mux.HandleFunc("GET /endpoints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.sim.Endpoints())
	})
	return mux
}

// apply returns how many faults were added or cleared.
func (c *control) apply(q faultRequest) (int, error) {
	if q.Unit != 0 && q.Device == "" {
		device, err := c.deviceOf(q.Site, q.Unit)
		if err != nil {
			return 0, err
		}
		q.Device = device
	}
	if q.Kind == "clear" {
		return c.sim.Clear(q.Site, q.Device, "")
	}
	f := Fault{
		Kind: FaultKind(q.Kind), Device: q.Device, Address: q.Address, Count: q.Count, Probability: q.Probability, Rack: q.Rack,
		Module: q.Module, Cell: q.Cell, After: time.Duration(q.AfterMS) * time.Millisecond, For: time.Duration(q.ForMS) * time.Millisecond,
	}
	switch f.Kind {
	case FaultDelay:
		f.Delay = time.Duration(q.Value * float64(time.Millisecond))
	case FaultException:
		f.Code = int(q.Value)
	case FaultWeakCell:
		f.Factor = q.Value
	default:
		if q.Value != 0 {
			f.Probability = q.Value
		}
	}
	if err := c.sim.Inject(q.Site, f); err != nil {
		return 0, err
	}
	return 1, nil
}

// deviceOf finds a unit id; it must be the only one of its site.
func (c *control) deviceOf(site string, id uint8) (string, error) {
	found := ""
	for _, e := range c.sim.Endpoints() {
		for _, u := range e.Units {
			if u.ID != id || (site != "" && e.Site != site) {
				continue
			}
			if found != "" {
				return "", fmt.Errorf("unit %d is there more than once: name the device", id)
			}
			found = u.Device
		}
	}
	if found == "" {
		return "", fmt.Errorf("no unit %d in site %q", id, site)
	}
	return found, nil
}
