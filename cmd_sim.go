package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bessd/config"
	"bessd/internal/run"
	"bessd/internal/sim"
)

func (p program) simCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "sim --config FILE",
		Short: "Serve simulated battery sites over Modbus TCP",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runSim(cmd.Context(), file)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// configFlag adds the required flag --config.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "configuration file")
	pre := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *file == "" {
			return usageError{fmt.Errorf("--config is missing; see %s --help, and docs/manual/examples", cmd.CommandPath())}
		}
		return pre(cmd, args)
	}
}

func (p program) runSim(ctx context.Context, file string) error {
	f, err := p.loadConfig(file, config.ModeSim)
	if err != nil {
		return err
	}
	log, err := logger(p.stderr, f.Sim.Log, f.Warnings)
	if err != nil {
		return err
	}
	s, err := sim.New(simConfig(f.Sim), log)
	if err != nil {
		return err
	}
	if err := s.Listen(); err != nil {
		return fmt.Errorf("%w; stop the other program or set another port", err)
	}
	for _, e := range s.Endpoints() {
		for _, u := range e.Units {
			fmt.Fprintf(p.stdout, "%s\t%s\tunit %d\t%s\n", e.Address, e.Site, u.ID, u.Device)
		}
	}
	g := run.Group{Abort: p.abort, Log: log, Stages: []run.Stage{{Name: "simulator", Parts: []run.Part{{Name: "sim", Run: s.Run}}}}}
	return g.Run(ctx)
}
