// Package testenv starts what the tests talk to: a real Apache Kafka, a real S3 server, the Python judges, and proxies
// that break connections on purpose. Only tests import it.
//
// The servers and judges come from scripts/setup, which says where they are by environment variables:
//
//	BESSD_KAFKA_HOME    directory of Kafka's jars           StartKafka
//	BESSD_VERSITYGW     S3 server program                   StartS3
//	BESSD_MINIO         a second S3 server, judges only     StartS3 with S3Options.MinIO
//	BESSD_PYTHON        interpreter with deltalake, duckdb, pymodbus, pysunspec2    LakePython
//	BESSD_SPARK_PYTHON  interpreter with pyspark            SparkPython
//
// A test whose server is not installed is skipped with a loud message, or fails when BESSD_REQUIRE=1 (scripts/test sets
// it). Everything runs on free loopback ports, keeps its data under t.TempDir(), and is gone when the test ends:
//
//	test -> TCPProxy / HTTPProxy (faults set at run time) -> Kafka | S3 | Modbus device
//
// Every helper ends the test by t.Fatal when it cannot do its work, so call them from the test's own goroutine, except
// where a method says otherwise.
package testenv
