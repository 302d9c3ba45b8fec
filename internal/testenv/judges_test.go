//go:build integration && judges

package testenv

import "testing"

func TestMinIO(t *testing.T) { testS3(t, S3Options{MinIO: true}) }

// Spark reads through s3a, MinIO's own format on disk included, what deltalake wrote.
func TestSparkReadsS3A(t *testing.T) {
	Need(t, "BESSD_SPARK_S3_JARS", "Spark's s3a jars")
	s := StartS3(t, S3Options{MinIO: true})
	var wrote struct{ Rows, Sum int }
	LakePython(t).JSON(t, &wrote, "s3_smoke.py", "write", s.Endpoint, s.Bucket, s.AccessKey, s.SecretKey)
	t.Setenv("AWS_ENDPOINT_URL", s.Endpoint)
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	var read struct{ Tables map[string]tableFigures }
	table := "s3://" + s.Bucket + "/smoke"
	SparkPython(t).JSON(t, &read, "spark_read.py", table)
	if got := read.Tables[table]; got.Rows != wrote.Rows || got.Columns["n"].Sum != float64(wrote.Sum) {
		t.Errorf("deltalake wrote %+v, Spark read %+v", wrote, got)
	}
}
