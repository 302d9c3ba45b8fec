//go:build integration && judges

package s3

import (
	"testing"

	"bessd/internal/testenv"
)

// TestConformanceOnMinIO runs the conformance suite on a second real S3 server.
func TestConformanceOnMinIO(t *testing.T) { onServer(t, testenv.S3Options{MinIO: true}) }
