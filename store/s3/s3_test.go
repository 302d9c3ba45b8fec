package s3

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bessd/bess/columns"
	"bessd/store"
	"bessd/store/blob"
	"bessd/store/delta"
	"bessd/store/storetest"
)

func (f *fake) config(prefix string) Config {
	return Config{Bucket: f.bucket, Prefix: prefix, Endpoint: f.URL, PathStyle: true, Credentials: CredentialsStatic, AccessKey: "key", SecretKey: "secret"}
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Backend { return open(t, newFake(t).config(prefix)) })
		})
	}
}

// TestConformanceOnARealServer runs where BESSD_TEST_S3_ENDPOINT, _ACCESS_KEY,
// _SECRET_KEY and _BUCKET are set. It uses prefixes of its own.
func TestConformanceOnARealServer(t *testing.T) {
	endpoint := os.Getenv("BESSD_TEST_S3_ENDPOINT")
	if endpoint == "" {
		t.Skip("SKIPPED: set BESSD_TEST_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY and _BUCKET to run this against a real S3 server")
	}
	cfg := Config{Endpoint: endpoint, PathStyle: true, Bucket: os.Getenv("BESSD_TEST_S3_BUCKET"),
		Credentials: CredentialsStatic, AccessKey: os.Getenv("BESSD_TEST_S3_ACCESS_KEY"), SecretKey: os.Getenv("BESSD_TEST_S3_SECRET_KEY")}
	storetest.Run(t, func(t *testing.T) store.Backend {
		c := cfg
		c.Prefix = "test-" + blob.NewID()
		s := open(t, c)
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestCheck(t *testing.T) {
	f := newFake(t)
	if err := open(t, f.config("p")).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(f.objects) > 0 {
		t.Fatal("it left objects behind")
	}
	f.setHook(func(_ int, r *http.Request) fault { r.Header.Del("If-None-Match"); return fault{} })
	if err := open(t, f.config("p")).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "conditional writes") {
		t.Fatalf("a store that ignores If-None-Match: %v", err)
	}
}

func TestClassification(t *testing.T) {
	for _, c := range []struct {
		name      string
		fault     fault
		transient bool
		remedy    string
	}{
		{"503", fault{status: 503, code: "SlowDown"}, true, ""},
		{"500", fault{status: 500, code: "InternalError"}, true, ""},
		{"409", fault{status: 409, code: "ConditionalRequestConflict"}, true, ""},
		{"429", fault{status: 429, code: "TooManyRequests"}, true, ""},
		{"cut", fault{before: true}, true, ""},
		{"timeout", fault{slow: 10 * time.Second}, true, ""},
		{"full", fault{status: 507, code: "XMinioStorageFull"}, true, "free space"},
		{"clock", fault{status: 403, code: "RequestTimeTooSkewed"}, true, "clock"},
		{"denied", fault{status: 403, code: "AccessDenied"}, false, "s3:PutObject"},
		{"key", fault{status: 403, code: "InvalidAccessKeyId"}, false, "credentials"},
		{"bucket", fault{status: 404, code: "NoSuchBucket"}, false, "create the bucket"},
		{"region", fault{status: 400, code: "AuthorizationHeaderMalformed"}, false, "region"},
		{"no conditional writes", fault{status: 501, code: "NotImplemented"}, false, "If-None-Match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.setHook(func(int, *http.Request) fault { return c.fault })
			cfg := f.config("")
			if c.name == "timeout" {
				cfg.Timeout = 50 * time.Millisecond
			}
			s := open(t, cfg)
			_, gerr := s.Get(t.Context(), "k")
			_, lerr := s.List(t.Context(), "k", "")
			for op, err := range map[string]error{"put": s.PutIfAbsent(t.Context(), "k", []byte("x")), "get": gerr, "list": lerr} {
				var e *blob.Error
				if !errors.As(err, &e) || blob.IsTransient(err) != c.transient || !strings.Contains(e.Remedy, c.remedy) {
					t.Errorf("%s: %v", op, err)
				}
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
					t.Errorf("%s: a failure looks like an answer: %v", op, err)
				}
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	s := open(t, Config{Bucket: "lake", Endpoint: "http://" + l.Addr().String(), PathStyle: true, Credentials: CredentialsStatic, AccessKey: "a", SecretKey: "b"})
	_, err = s.Get(t.Context(), "k")
	var e *blob.Error
	if !errors.As(err, &e) || !e.Transient() || !strings.Contains(e.Remedy, "server runs") {
		t.Fatal(err)
	}
}

func TestCertificate(t *testing.T) {
	f := newFake(t)
	secure := httptest.NewTLSServer(f)
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	cfg := f.config("")
	cfg.Endpoint = secure.URL
	_, err := open(t, cfg).Get(t.Context(), "k")
	var e *blob.Error
	if !errors.As(err, &e) || e.Transient() || !strings.Contains(e.Remedy, "ca_file") {
		t.Fatal(err)
	}
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	pem := "-----BEGIN CERTIFICATE-----\n" + b64(secure.Certificate().Raw) + "\n-----END CERTIFICATE-----\n"
	if err := os.WriteFile(cfg.CAFile, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, cfg).Get(t.Context(), "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// TestCutBody says that half an object is never taken for all of it.
func TestCutBody(t *testing.T) {
	f := newFake(t)
	s := open(t, f.config(""))
	if err := s.Put(t.Context(), "k", []byte(strings.Repeat("x", 100_000))); err != nil {
		t.Fatal(err)
	}
	f.setHook(func(int, *http.Request) fault { return fault{half: true} })
	if data, err := s.Get(t.Context(), "k"); !blob.IsTransient(err) {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	key, secret, empty := file("k", "key\n"), file("s", "secret\n"), file("e", "\n")
	for name, c := range map[string]Config{
		"no bucket":     {},
		"endpoint":      {Bucket: "b", Endpoint: "localhost:9000"},
		"static":        {Bucket: "b", Credentials: CredentialsStatic},
		"unknown":       {Bucket: "b", Credentials: "magic"},
		"missing file":  {Bucket: "b", Credentials: CredentialsFiles, AccessKeyFile: key, SecretKeyFile: filepath.Join(dir, "none")},
		"empty file":    {Bucket: "b", Credentials: CredentialsFiles, AccessKeyFile: key, SecretKeyFile: empty},
		"ca not there":  {Bucket: "b", Credentials: CredentialsStatic, AccessKey: "a", SecretKey: "b", CAFile: filepath.Join(dir, "none")},
		"ca is no cert": {Bucket: "b", Credentials: CredentialsStatic, AccessKey: "a", SecretKey: "b", CAFile: key},
	} {
		if _, err := Open(c); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "secret\n") {
			t.Errorf("%s: the secret is shown", name)
		}
	}
	f := newFake(t)
	cfg := f.config("")
	cfg.Credentials, cfg.AccessKeyFile, cfg.SecretKeyFile = CredentialsFiles, key, secret
	if _, err := open(t, cfg).Get(t.Context(), "k"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if b, p, err := ParseURL("s3://lake/a/b/"); b != "lake" || p != "a/b" || err != nil {
		t.Fatal(b, p, err)
	}
	for _, bad := range []string{"", "lake", "http://x/y", "s3:///x"} {
		if _, _, err := ParseURL(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

var schema = columns.Schema{{Name: "seq", Type: columns.Int64}}

// TestLakeUnderFaults commits through every kind of trouble: each row must be
// there exactly once, and no commit may take the name of another.
func TestLakeUnderFaults(t *testing.T) {
	f := newFake(t)
	kinds := []fault{{status: 503, code: "SlowDown"}, {before: true}, {after: true}, {half: true}, {status: 500, code: "InternalError"}, {slow: 200 * time.Millisecond}, {status: 409, code: "ConditionalRequestConflict"}}
	f.setHook(func(n int, r *http.Request) fault {
		if n%3 != 0 {
			return fault{}
		}
		x := kinds[(n/3)%len(kinds)]
		if x.half && r.Method != http.MethodGet {
			x = fault{after: true}
		}
		return x
	})
	cfg := f.config("x")
	cfg.Timeout = 100 * time.Millisecond
	dir := t.TempDir()
	specs := []store.TableSpec{{Name: "tab", Schema: schema}}
	l, err := store.Open(t.Context(), open(t, cfg), store.Config{StageDir: dir, RetryFirst: time.Microsecond, CheckpointEvery: 5}, specs)
	if err != nil {
		t.Fatal(err)
	}
	tab, at := l.Table("tab"), int64(store.NoPosition)
	const commits = 30
	for i := range int64(commits) {
		rows := columns.NewRows(schema)
		rows.Append(i)
		s, err := tab.Stage(t.Context(), "", rows, nil)
		if err != nil {
			t.Fatal(err)
		}
		v, err := tab.Commit(t.Context(), store.Commit{Files: []*store.Staged{s}, Positions: []delta.Txn{{AppID: "p", Expected: at, Version: i}}})
		if err != nil {
			t.Fatal(err)
		}
		if v != i+1 {
			t.Fatalf("commit %d became version %d: a lost reply was not recognised", i, v)
		}
		at = i
	}
	f.setHook(nil)
	l, err = store.Open(t.Context(), open(t, f.config("x")), store.Config{StageDir: dir}, specs)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	if err := l.Table("tab").Scan(t.Context(), store.Scan{Columns: []string{"seq"}}, func(b store.Batch) error {
		for _, i := range b.Rows {
			got = append(got, b.Vectors[0].Int64[i])
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, s := range got {
		seen[s] = true
	}
	if len(got) != commits || len(seen) != commits {
		t.Fatalf("%d rows, %d distinct", len(got), len(seen))
	}
	if data := fmt.Sprint(len(f.objects)); f.objects["x/tab/_delta_log/_last_checkpoint"].data == nil {
		t.Fatal("no checkpoint among " + data)
	}
}

func b64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
