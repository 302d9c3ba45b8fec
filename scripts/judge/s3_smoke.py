#!/usr/bin/env python3
"""Write or read a small Delta table through S3 with deltalake, to prove that the S3 server under test is one.

    s3_smoke.py write|read ENDPOINT BUCKET ACCESS_KEY SECRET_KEY      prints {"rows": n, "sum": n}
"""
import json
import os
import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

mode, endpoint, bucket, key, secret = sys.argv[1:]
options = {
    "AWS_ENDPOINT_URL": endpoint,
    "AWS_ALLOW_HTTP": "true",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": key,
    "AWS_SECRET_ACCESS_KEY": secret,
}
table = f"s3://{bucket}/smoke"
if mode == "write":
    for start in (0, 100, 200):  # three commits
        rows = pa.table({"n": pa.array(range(start, start + 100), pa.int64())})
        write_deltalake(table, rows, mode="append", storage_options=options)
column = DeltaTable(table, storage_options=options).to_pyarrow_table()["n"].to_pylist()
print(json.dumps({"rows": len(column), "sum": sum(column)}), flush=True)
os._exit(0)  # Arrow's I/O threads over deltalake's file system now and then abort an orderly exit
