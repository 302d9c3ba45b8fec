package testenv

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// s3Start is how long an S3 server may take; half a second is usual.
const s3Start = 30 * time.Second

// S3Options are what a test may want different.
type S3Options struct {
	// MinIO takes MinIO as the server in place of versitygw; only the judges' setup installs it.
	MinIO bool
	// Bucket is the bucket's name; default "lake".
	Bucket string
}

// S3 is a real S3 server with one empty bucket. Put an HTTPProxy before Endpoint to break its replies.
type S3 struct {
	// Endpoint is the base URL: http://127.0.0.1:port. Paths are addressed path-style.
	Endpoint string
	// Bucket exists already.
	Bucket string
	// Region, AccessKey and SecretKey are what requests must be signed with.
	Region, AccessKey, SecretKey string
	// Dir is the bucket on disk. Under versitygw each object is a file below it, so a reader of directories can judge
	// what was written through S3; under MinIO it is the server's own format.
	Dir string

	addr    string
	command func() *exec.Cmd
	process *Process
}

// StartS3 starts the server and waits until it answers.
func StartS3(t testing.TB, o S3Options) *S3 {
	t.Helper()
	if o.Bucket == "" {
		o.Bucket = "lake"
	}
	root, addr := t.TempDir(), FreeAddr(t)
	s := &S3{
		Endpoint: "http://" + addr, Bucket: o.Bucket, Region: "us-east-1", AccessKey: "bessd-test", SecretKey: "bessd-test-secret",
		Dir: filepath.Join(root, o.Bucket), addr: addr,
	}
	// Both servers take a directory below their root for a bucket.
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		t.Fatalf("making the bucket: %v", err)
	}
	if o.MinIO {
		program := Need(t, "BESSD_MINIO", "MinIO")
		s.command = func() *exec.Cmd {
			cmd := exec.Command(program, "server", "--quiet", "--address", addr, root)
			cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey, "MINIO_BROWSER=off")
			return cmd
		}
	} else {
		program := Need(t, "BESSD_VERSITYGW", "versitygw")
		s.command = func() *exec.Cmd {
			cmd := exec.Command(program, "--quiet", "--port", addr, "--region", s.Region, "posix", root)
			cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
			return cmd
		}
	}
	s.start(t)
	return s
}

func (s *S3) start(t testing.TB) {
	t.Helper()
	s.process = StartProcess(t, "s3", s.command())
	Await(t, s3Start, func() error {
		if !s.process.Running() {
			return fmt.Errorf("the S3 server ended at once:\n%s", s.process.LogTail(10))
		}
		reply, err := http.Get(s.Endpoint + "/") // unsigned: refused, which is an answer
		if err != nil {
			return err
		}
		return reply.Body.Close()
	})
}

// Stop ends the server in order (SIGTERM).
func (s *S3) Stop(t testing.TB) {
	t.Helper()
	_ = s.process.Stop(t)
}

// Kill9 ends the server with SIGKILL. Safe from any goroutine.
func (s *S3) Kill9() { s.process.Kill9() }

// Restart starts the server again on the same data and address, after stopping it if it still runs.
func (s *S3) Restart(t testing.TB) {
	t.Helper()
	if s.process.Running() {
		s.Stop(t)
	}
	s.start(t)
}

// PID returns the server's process id.
func (s *S3) PID() int { return s.process.PID() }
