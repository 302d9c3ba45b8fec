package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"bessd/store/blob"
)

// Store keeps objects below a prefix of a bucket. It is safe for concurrent
// use.
type Store struct {
	cfg  Config
	core minio.Core
}

// Open returns the store. It sends nothing yet, except to find credentials.
func Open(cfg Config) (*Store, error) {
	cfg.Prefix = strings.Trim(cfg.Prefix, "/")
	if cfg.Bucket == "" {
		return nil, errors.New("s3: no bucket is configured")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Region == "" && cfg.Endpoint != "" {
		cfg.Region = "us-east-1"
	}
	host, secure, err := cfg.endpoint()
	if err != nil {
		return nil, err
	}
	creds, err := cfg.credentials()
	if err != nil {
		return nil, err
	}
	transport, err := cfg.transport()
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(host, &minio.Options{
		Creds: creds, Secure: secure, Transport: transport, Region: cfg.Region, BucketLookup: lookup,
		MaxRetries: 1, // ours are logged and end with the context
	})
	if err != nil {
		return nil, fmt.Errorf("opening s3 bucket %q at %s: %w", cfg.Bucket, host, err)
	}
	return &Store{cfg: cfg, core: minio.Core{Client: client}}, nil
}

// URL returns the address of the root as foreign readers understand it.
func (s *Store) URL() string { return strings.TrimSuffix("s3://"+s.cfg.Bucket+"/"+s.cfg.Prefix, "/") }

func (s *Store) key(key string) string {
	if s.cfg.Prefix == "" {
		return key
	}
	return s.cfg.Prefix + "/" + key
}

// limit gives one request its time: the configured one and what the bytes need
// on a slow line.
func (s *Store) limit(ctx context.Context, bytes int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.Timeout+time.Duration(bytes/(64<<10))*time.Second)
}

// Get returns the whole object.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	return s.get(ctx, key, minio.GetObjectOptions{}, 0)
}

// GetRange returns up to n bytes of the object from off on; fewer at its end.
func (s *Store) GetRange(ctx context.Context, key string, off, n int64) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+n-1); err != nil {
		return nil, &blob.Error{Op: "getting", Key: s.where(key), Kind: blob.Permanent, Err: err}
	}
	data, err := s.get(ctx, key, opts, n)
	var e *blob.Error
	if errors.As(err, &e) && minio.ToErrorResponse(e.Err).Code == "InvalidRange" {
		return nil, nil // beyond the end
	}
	return data, err
}

func (s *Store) get(ctx context.Context, key string, opts minio.GetObjectOptions, expect int64) ([]byte, error) {
	rctx, cancel := s.limit(ctx, expect)
	defer cancel()
	body, info, _, err := s.core.GetObject(rctx, s.cfg.Bucket, s.key(key), opts)
	if err != nil {
		return nil, s.fail(ctx, "getting", key, err)
	}
	defer body.Close()
	var b bytes.Buffer
	if info.Size > 0 && info.Size < 1<<30 {
		b.Grow(int(info.Size) + bytes.MinRead)
	}
	n, err := io.Copy(&b, body)
	if err == nil && info.Size >= 0 && n != info.Size {
		err = fmt.Errorf("%d bytes of %d: %w", n, info.Size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, s.fail(ctx, "getting", key, err)
	}
	return b.Bytes(), nil
}

// Put stores the object, replacing one of the same key.
func (s *Store) Put(ctx context.Context, key string, data []byte) error {
	return s.put(ctx, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
}

// PutIfAbsent stores the object unless there is one of that key: then it
// returns an error that wraps fs.ErrExist. After a transient error it may have
// been stored.
func (s *Store) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	var opts minio.PutObjectOptions
	opts.SetMatchETagExcept("*")
	return s.put(ctx, key, bytes.NewReader(data), int64(len(data)), opts)
}

// PutFile stores the contents of the local file as the object.
func (s *Store) PutFile(ctx context.Context, key, local string) error {
	f, err := os.Open(local)
	if err != nil {
		return &blob.Error{Op: "putting", Key: s.where(key), Kind: blob.Permanent, Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return &blob.Error{Op: "putting", Key: s.where(key), Kind: blob.Permanent, Err: err}
	}
	return s.put(ctx, key, f, info.Size(), minio.PutObjectOptions{})
}

func (s *Store) put(ctx context.Context, key string, body io.Reader, size int64, opts minio.PutObjectOptions) error {
	rctx, cancel := s.limit(ctx, size)
	defer cancel()
	opts.DisableMultipart = true // multipart uploads ignore If-None-Match
	opts.SendContentMd5 = true   // the server refuses what arrives damaged
	opts.DisableContentSha256 = true
	opts.ContentType = "application/octet-stream"
	_, err := s.core.Client.PutObject(rctx, s.cfg.Bucket, s.key(key), body, size, opts)
	return s.fail(ctx, "putting", key, err)
}

// List returns the objects whose keys begin with prefix and sort after the key
// `after` (empty: all), sorted by key.
func (s *Store) List(ctx context.Context, prefix, after string) ([]blob.Info, error) {
	opts := minio.ListObjectsOptions{Prefix: s.key(prefix), Recursive: true}
	if after != "" {
		opts.StartAfter = s.key(after)
	}
	lctx, cancel := context.WithCancel(ctx) // stops the lister when we return early
	defer cancel()
	idle := time.AfterFunc(s.cfg.Timeout, cancel) // per page, not for all of them
	defer idle.Stop()
	var out []blob.Info
	for o := range s.core.Client.ListObjectsIter(lctx, s.cfg.Bucket, opts) {
		if o.Err != nil {
			return nil, s.fail(ctx, "listing", prefix, o.Err)
		}
		idle.Reset(s.cfg.Timeout)
		key := o.Key
		if s.cfg.Prefix != "" {
			key = strings.TrimPrefix(key, s.cfg.Prefix+"/")
		}
		out = append(out, blob.Info{Key: key, Size: o.Size, Modified: o.LastModified})
	}
	if err := lctx.Err(); err != nil { // the iterator just stops then
		return nil, s.fail(ctx, "listing", prefix, err)
	}
	return out, nil
}

// Delete removes the object. A missing one is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	rctx, cancel := s.limit(ctx, 0)
	defer cancel()
	err := s.fail(ctx, "deleting", key, s.core.RemoveObject(rctx, s.cfg.Bucket, s.key(key), minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Check tries what the lake needs of the store: writing, conditional writing,
// reading back and listing. It leaves nothing behind. A store that ignores
// If-None-Match would lose commits silently and is refused.
func (s *Store) Check(ctx context.Context) error {
	key := "_bessd_check/" + blob.NewID()
	if err := s.PutIfAbsent(ctx, key, []byte("1")); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	defer s.Delete(ctx, key) // best effort: an empty object is no harm
	err := s.PutIfAbsent(ctx, key, []byte("2"))
	if err == nil {
		return &blob.Error{Op: "checking", Key: s.where(key), Kind: blob.Permanent, Err: errors.New("the store overwrote an object despite If-None-Match: *"),
			Remedy: "use a store that honours conditional writes"}
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if data, err := s.Get(ctx, key); err != nil {
		return err
	} else if string(data) != "1" {
		return &blob.Error{Op: "checking", Key: s.where(key), Kind: blob.Permanent, Err: fmt.Errorf("read %q after writing \"1\"", data), Remedy: "use a store whose reads see earlier writes"}
	}
	_, err = s.List(ctx, key, "")
	return err
}
