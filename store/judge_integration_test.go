//go:build integration

package store_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bessd/internal/testenv"
	"bessd/store/fsdir"
	"bessd/store/s3"
	"bessd/store/storetest"
)

// TestForeignReadersOverS3 says the same of a real S3 server.
func TestForeignReadersOverS3(t *testing.T) {
	py := testenv.LakePython(t)
	server := testenv.StartS3(t, testenv.S3Options{})
	b, err := s3.Open(s3.Config{Bucket: server.Bucket, Prefix: "some/lake", Endpoint: server.Endpoint, PathStyle: true,
		Credentials: s3.CredentialsStatic, AccessKey: server.AccessKey, SecretKey: server.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := writeJudged(t, b)
	t.Setenv("AWS_ENDPOINT_URL", server.Endpoint)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	judge(t, py, b.URL()+"/telemetry", want)
}

// TestSparkReads says the same of Spark, from a directory.
func TestSparkReads(t *testing.T) {
	py := testenv.SparkPython(t)
	root := filepath.Join(t.TempDir(), "lake")
	b, err := fsdir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	want := writeJudged(t, b)
	var got struct{ Tables map[string]storetest.Figures }
	table := filepath.Join(root, "telemetry")
	py.JSON(t, &got, "spark_read.py", table)
	if d := cmp.Diff(want, got.Tables[table]); d != "" {
		t.Error(d)
	}
}
