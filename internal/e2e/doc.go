// Package e2e holds the tests of the whole chain; no program imports it. The fast ones run everything in one process.
// Those with the tag integration run the program itself between real servers, and foreign readers judge the tables:
//
//	simulator or pymodbus -> bessd agent -> Apache Kafka -> bessd central -> S3 server -> delta-rs, DuckDB, Spark
//
// Those with the tags judges and faultpoints take long: scripts/judges runs them.
package e2e
