//go:build integration

package s3

import (
	"log/slog"
	"testing"

	"bessd/internal/testenv"
	"bessd/store"
	"bessd/store/blob"
	"bessd/store/storetest"
)

func onServer(t *testing.T, o testenv.S3Options) {
	server := testenv.StartS3(t, o)
	patience := blob.Retrier{Log: slog.New(slog.DiscardHandler)} // MinIO answers before it is ready
	storetest.Run(t, func(t *testing.T) store.Backend {
		s := open(t, Config{Bucket: server.Bucket, Prefix: "test-" + blob.NewID(), Endpoint: server.Endpoint, PathStyle: true,
			Credentials: CredentialsStatic, AccessKey: server.AccessKey, SecretKey: server.SecretKey})
		if err := patience.Do(t.Context(), "checking", s.Check); err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestConformanceOnVersitygw runs the conformance suite on a real S3 server.
func TestConformanceOnVersitygw(t *testing.T) { onServer(t, testenv.S3Options{}) }
