package main

import (
	"context"

	"github.com/spf13/cobra"

	"bessd/config"
	"bessd/internal/obs"
	"bessd/internal/run"
)

func (p program) centralCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "central --config FILE",
		Short: "Read Kafka and write the tables",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runCentral(cmd.Context(), file)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func (p program) runCentral(ctx context.Context, file string) error {
	f, err := p.loadConfig(file, config.ModeCentral)
	if err != nil {
		return err
	}
	log, err := logger(p.stderr, f.Central.Log, f.Warnings)
	if err != nil {
		return err
	}
	log.Info("central starts", "store", f.Central.Store.URL, obs.Topic, f.Central.Kafka.Topic, "version", version())
	n, err := newCentralNode(ctx, f.Central, log)
	if err != nil && ctx.Err() != nil {
		log.Info("stopped while starting", obs.Err, err)
		return nil
	}
	if err != nil {
		return err
	}
	n.metrics.Process()
	var serve *obs.Server
	if addr := f.Central.HTTP.Listen; addr != "" {
		if serve, err = obs.NewServer(addr, n.health, log, n.metrics); err != nil {
			n.close()
			return err
		}
		log.Info("serving metrics and health", "url", "http://"+serve.Addr())
	}
	g := run.Group{Abort: p.abort, Log: log, Notify: stageLog(log), Stages: n.stages(serve)}
	return g.Run(ctx)
}
