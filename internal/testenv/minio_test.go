//go:build integration && judges

package testenv

import "testing"

func TestMinIO(t *testing.T) { testS3(t, S3Options{MinIO: true}) }
