// Package ingest is the only part that speaks Kafka. A Client holds the
// connections and the security settings; a Producer writes one topic, a
// Consumer reads explicit partitions of one topic from given offsets, without
// groups or committed offsets, because our own log holds the positions.
//
//	agent:   values -> Producer.Produce -> partition murmur2(site) mod count, all replicas acked
//	central: offset -> Consumer.Fetch   -> messages, next offset, high watermark
//
// Delivery is at least once. An acknowledgement that is lost on the way makes
// the caller send again, and the reader removes the duplicate.
//
// Errors are *Error and say by their Kind what a caller may do: Transient
// (again later), Permanent (a person must change something), TooLarge (this
// message never fits). Positions outside a partition's log are *OffsetError,
// never a silent wait.
package ingest
