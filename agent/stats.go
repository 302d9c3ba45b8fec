package agent

// Stats is a snapshot of what an agent did since New. Counters never decrease.
type Stats struct {
	Epoch       int64
	Devices     int   // known devices
	Scans       int64 // taken by the sink
	BadScans    int64 // of these with quality bad
	Values      int64 // in them, list elements included
	Requests    int64
	Registers   int64 // read
	MissedTicks int64
	Reconnects  int64 // connections made again
	Lost        int64 // records that the sink refused
	Units       []UnitStats
}

// UnitStats is a snapshot of one unit.
type UnitStats struct {
	Endpoint   string
	Unit       int
	Device     string // root
	Devices    int
	Up         bool // answered at its last attempt
	Requests   int64
	Exceptions int64 // answers that say no
	Timeouts   int64
	Errors     int64 // other failures of transport or protocol
	Missed     int64 // ticks that were not polled in time
	Abandoned  int64 // slots in which a slow tier was not read to its end
	LastError  string
}

// Stats gives a snapshot; safe for concurrent use.
func (a *Agent) Stats() Stats {
	s := Stats{Epoch: a.epoch, Scans: a.scans.Load(), BadScans: a.bad.Load(), Values: a.values.Load(), Lost: a.lost.Load()}
	for _, e := range a.endpoints {
		s.Requests += e.requests.Load()
		s.Registers += e.registers.Load()
		s.Reconnects += max(0, e.connects.Load()-1)
		for _, u := range e.units {
			us := UnitStats{Endpoint: e.cfg.Address, Unit: u.cfg.Unit, Device: u.cfg.ID, Devices: int(u.deviceCount.Load()), Up: u.up.Load(),
				Requests: u.requests.Load(), Exceptions: u.exceptions.Load(), Timeouts: u.timeouts.Load(), Errors: u.failures.Load(),
				Missed: u.missed.Load(), Abandoned: u.abandoned.Load()}
			if t := u.lastError.Load(); t != nil {
				us.LastError = *t
			}
			s.Devices += us.Devices
			s.MissedTicks += us.Missed
			s.Units = append(s.Units, us)
		}
	}
	return s
}
