#!/usr/bin/env python3
"""Reads Delta tables with Spark and prints the figures of tablesum.py for each.

    spark_read.py [--columns a,b] [--where SQL] TABLE...

prints {"tables": {TABLE: {"rows": n, "columns": {...}}}}. TABLE is a directory, file:// or s3://bucket/prefix; several in
one call share Spark's slow start. Without --columns all columns are read. S3 needs AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID
and AWS_SECRET_ACCESS_KEY, and the jars that `scripts/setup judges` installs (BESSD_SPARK_S3_JARS).
It only reads: delta-spark must never write a bessd table on S3, because it overwrites commits.
"""
import argparse
import json
import os
import sys
import tempfile

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tablesum import summarize


def session(scratch):
    jars = [os.environ["BESSD_SPARK_JARS"]]
    if "BESSD_SPARK_S3_JARS" in os.environ:
        jars.append(os.environ["BESSD_SPARK_S3_JARS"])
    b = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.extraClassPath", ":".join(os.path.join(j, "*") for j in jars))
        .config("spark.driver.memory", "1g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.databricks.delta.snapshotPartitions", "2")
        .config("spark.local.dir", scratch)
        .config("spark.sql.warehouse.dir", os.path.join(scratch, "warehouse"))
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    )
    if os.environ.get("AWS_ENDPOINT_URL"):
        s3a = {
            "endpoint": os.environ["AWS_ENDPOINT_URL"], "access.key": os.environ["AWS_ACCESS_KEY_ID"],
            "secret.key": os.environ["AWS_SECRET_ACCESS_KEY"], "endpoint.region": os.environ.get("AWS_REGION", "us-east-1"),
            "path.style.access": "true", "connection.ssl.enabled": "false",
            "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        }
        for key, value in s3a.items():
            b = b.config("spark.hadoop.fs.s3a." + key, value)
    spark = b.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def plain(field):
    """A column as the summary wants it: timestamps as microseconds, dates as text."""
    c = F.col(f"`{field.name}`")
    if isinstance(field.dataType, T.TimestampType):
        return F.unix_micros(c).alias(field.name)
    if isinstance(field.dataType, T.DateType):
        return c.cast("string").alias(field.name)
    return c


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--columns", default="")
    a.add_argument("--where", default="true")
    a.add_argument("tables", nargs="+")
    args = a.parse_args()
    names = [n for n in args.columns.split(",") if n]
    with tempfile.TemporaryDirectory() as scratch:
        spark = session(scratch)
        tables = {}
        for table in args.tables:
            df = spark.read.format("delta").load(table.replace("s3://", "s3a://", 1)).where(args.where)
            fields = [f for f in df.schema.fields if not names or f.name in names]
            if missing := set(names) - {f.name for f in fields}:
                sys.exit(f"{table} has no column {', '.join(sorted(missing))}")
            rows = (tuple(r) for r in df.select([plain(f) for f in fields]).toLocalIterator(prefetchPartitions=True))
            tables[table] = summarize([f.name for f in fields], rows)
        spark.stop()
    json.dump({"tables": tables}, sys.stdout)


if __name__ == "__main__":
    main()
