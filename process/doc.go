// Package process is the only home of the order
//
//	fetch -> decode -> check -> dedup -> derive -> section -> stage -> upload -> commit
//
// in which messages become rows of the lake. Archive runs it for the partitions of one topic:
//
//	reader (one goroutine per partition; watches the topic's generation)
//	   \                                   one section fills      one section is flushed
//	    +--> batches --> Archive.Run --> [ ranges, rows, ledger ] --> flush: stage all tables, upload all,
//	   /                 (dedup state)                              commit in order, ledger last
//
// Exactly once rests on three rules. Every table keeps, in the same commit as the rows, the next offset of each
// partition. The ledger is committed last, and a restart begins where the ledger ends. What is accepted is a pure
// function of (the ledger at that offset, the messages in order). A crash in the middle leaves the first tables ahead
// of the ledger by exactly one flush; recovery re-reads exactly these offsets as one flush and gives them to the tables
// that lack them, see Archive.recover. So the offset ranges of each table stay disjoint and complete, whatever the
// place of the crash.
//
// The package never imports the packages that talk to Kafka or to the object store: Source, Lake, Ledger and RowLookup
// are what it needs of them.
package process
