// Package run starts the parts of a process in stages and stops them in reverse, so that what produces stops before what
// takes it in, and nothing that is under way gets lost.
//
//	start:  broker -> central -> simulators -> agents
//	stop:   agents, wait -> simulators, wait -> central, wait -> broker, wait
//
// The first signal, the end of the caller's context, or a part that returns starts the stop. Each stage then has its
// grace period; a second signal (Group.Abort) ends all grace periods. A part that must finish work after its context has
// ended takes Draining(ctx), which lives until the grace period is over.
package run
