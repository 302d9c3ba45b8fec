// Package forward carries encoded messages from the agent's scan path to Kafka
// and, whenever Kafka does not answer at once, to the spool.
//
// A message counts as taken when the spool has synced it or Kafka has
// acknowledged it, whichever comes first. Sending and syncing run side by side:
//
//	Put -> queue in memory --send at once--> Kafka --ack--> gone
//	          |                                 |
//	          +-- not acked within Sync --> spool --oldest first--> Kafka --ack--> gone
//
// While the link is healthy nothing reaches the disk. While it is not, memory
// holds at most what came in since the last sync, and the batch that is being
// sent. One goroutine sends, one batch at a time, from one lane: first the
// spool's backlog, then the queue, so the order of Put is the order of sending.
// A lost acknowledgement sends a message again; the reader removes duplicates.
package forward
