package main

import (
	"context"

	"github.com/spf13/cobra"

	"bessd/config"
	"bessd/internal/obs"
	"bessd/internal/run"
)

func (p program) agentCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "agent --config FILE",
		Short: "Read the devices of a site and forward to Kafka",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runAgent(cmd.Context(), file)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func (p program) runAgent(ctx context.Context, file string) error {
	f, err := p.loadConfig(file, config.ModeAgent)
	if err != nil {
		return err
	}
	log, err := logger(p.stderr, f.Agent.Log, f.Warnings)
	if err != nil {
		return err
	}
	n, err := newAgentNode(f.Agent, log)
	if err != nil {
		return err
	}
	n.metrics.Process()
	var serve *obs.Server
	if addr := f.Agent.HTTP.Listen; addr != "" {
		if serve, err = obs.NewServer(addr, n.health, log, n.metrics); err != nil {
			n.close()
			return err
		}
		log.Info("serving metrics and health", "url", "http://"+serve.Addr())
	}
	log.Info("agent starts", obs.Site, f.Agent.Site, obs.Epoch, n.agent.Epoch(), "version", version())
	g := run.Group{Abort: p.abort, Log: log, Notify: stageLog(log), Stages: n.stages(serve)}
	return g.Run(ctx)
}
