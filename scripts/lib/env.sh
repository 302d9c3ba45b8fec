# What the tests read to find the installed things. Sourced after common.sh. The Go side is internal/testenv.
export BESSD_KAFKA_HOME=$KAFKA_DIR
export BESSD_VERSITYGW=$VERSITYGW_DIR/versitygw
export BESSD_PYTHON=$LAKE_VENV/bin/python
export BESSD_SPARK_PYTHON=$SPARK_VENV/bin/python
export BESSD_SPARK_JARS=$SPARK_JARS
[ ! -f "$SPARK_S3_JARS/.ok" ] || export BESSD_SPARK_S3_JARS=$SPARK_S3_JARS
[ ! -f "$MINIO_DIR/.ok" ] || export BESSD_MINIO=$MINIO_DIR/minio
