// Package obs is how bessd is watched: logs, metrics, health, and the small HTTP server that shows them.
//
//	log     slog, text on a terminal and JSON elsewhere if asked; keys are constants
//	metrics one Prometheus registry per instance, names bessd_<pkg>_<what>_<unit>; figures are read when scraped
//	health  named checks: /healthz says that the process lives, /readyz whether each check is fine
//
// Nothing here is global: two agents and a central in one process have a logger, a registry and a health of their own.
package obs
