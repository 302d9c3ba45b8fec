// Package broker is a Kafka-protocol broker inside the process, for the demo
// and for tests. It speaks the real protocol over real sockets and can keep its
// logs on disk, so a restart on the same directory goes on where it stopped.
//
// It wraps kfake, which is a fake for testing: one machine, no replication, no
// fencing of a second process on the same directory. Nobody should run it for
// data they cannot lose.
//
//	New (listening) -> Run (retention, until the context ends) -> Close
package broker
