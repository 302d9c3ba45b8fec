package main

import (
	"log/slog"
	"time"

	"bessd/internal/obs"
	"bessd/internal/run"
)

// stageLog tells how a stop proceeds.
func stageLog(log *slog.Logger) func(stage string, phase run.Phase, took time.Duration) {
	return func(stage string, phase run.Phase, took time.Duration) {
		switch phase {
		case run.Stopping:
			log.Info("stopping " + stage)
		case run.Stopped:
			log.Info("stopped "+stage, obs.Took, took.Round(time.Millisecond))
		}
	}
}
