package plant

// At is an extreme and where it sits; indexes count from 1, 0 = does not apply.
type At struct {
	Value              float64
	Rack, Module, Cell int
}

// Spread is the extremes and the mean of a quantity over many cells or modules.
type Spread struct {
	Max, Min At
	Mean     float64

	sum float64
	n   int
}

func (s *Spread) add(v float64, rack, module, cell int) {
	if s.n == 0 || v > s.Max.Value {
		s.Max = At{v, rack, module, cell}
	}
	if s.n == 0 || v < s.Min.Value {
		s.Min = At{v, rack, module, cell}
	}
	s.sum += v
	s.n++
	s.Mean = s.sum / float64(s.n)
}

func (s *Spread) merge(o Spread, rack int) {
	o.Max.Rack, o.Min.Rack = rack, rack
	if s.n == 0 || o.Max.Value > s.Max.Value {
		s.Max = o.Max
	}
	if s.n == 0 || o.Min.Value < s.Min.Value {
		s.Min = o.Min
	}
	s.sum += o.sum
	s.n += o.n
	s.Mean = s.sum / float64(s.n)
}

// ModuleSummary is what a module's monitor reports of its cells.
type ModuleSummary struct {
	VoltageV     float64 // sum of the cells
	SoC          float64 // 0..1
	CellV, CellC Spread
	Balancing    int
}

// ModuleSummary computes the summary of a module (index from 0).
func (r *Rack) ModuleSummary(m int) ModuleSummary {
	var s ModuleSummary
	for c := range r.cellsPer {
		v := r.CellV(m, c)
		s.VoltageV += v
		s.SoC += r.CellSoC(m, c)
		s.CellV.add(v, 0, m+1, c+1)
		s.CellC.add(r.CellC(m, c), 0, m+1, c+1)
		if r.Balancing(m, c) {
			s.Balancing++
		}
	}
	s.SoC /= float64(r.cellsPer)
	return s
}

// RackSummary is what a rack's BMS reports of its modules.
type RackSummary struct {
	Modules   []ModuleSummary
	CellV     Spread
	ModuleC   Spread // over module mean temperatures
	ModuleV   Spread
	CellC     Spread
	Balancing int
}

// Summary computes the summary of the rack and all its modules.
func (r *Rack) Summary() RackSummary {
	s := RackSummary{Modules: make([]ModuleSummary, len(r.Modules))}
	for m := range r.Modules {
		ms := r.ModuleSummary(m)
		s.Modules[m] = ms
		s.CellV.merge(ms.CellV, 0)
		s.CellC.merge(ms.CellC, 0)
		s.ModuleC.add(ms.CellC.Mean, 0, m+1, 0)
		s.ModuleV.add(ms.VoltageV, 0, m+1, 0)
		s.Balancing += ms.Balancing
	}
	return s
}

// BankSummary is what a bank's master reports of its racks.
type BankSummary struct {
	Racks                 []RackSummary
	CellV, CellC          Spread
	ModuleC, ModuleV      Spread
	RackV, RackA, RackSoC Spread
	Connected, Balancing  int
}

// Summary computes the summary of the bank and everything below it.
func (b *Bank) Summary() BankSummary {
	s := BankSummary{Racks: make([]RackSummary, len(b.Racks))}
	for i, r := range b.Racks {
		rs := r.Summary()
		s.Racks[i] = rs
		s.CellV.merge(rs.CellV, i+1)
		s.CellC.merge(rs.CellC, i+1)
		s.ModuleC.merge(rs.ModuleC, i+1)
		s.ModuleV.merge(rs.ModuleV, i+1)
		s.RackV.add(r.VoltageV, i+1, 0, 0)
		s.RackA.add(r.CurrentA, i+1, 0, 0)
		s.RackSoC.add(r.SoC, i+1, 0, 0)
		s.Balancing += rs.Balancing
		if r.Connected {
			s.Connected++
		}
	}
	return s
}
