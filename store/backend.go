package store

import (
	"context"
	"log/slog"
	"time"

	"bessd/store/blob"
	"bessd/store/delta"
)

// Backend is an object store, as package fsdir and package s3 have one. Missing
// objects are errors that wrap fs.ErrNotExist; others are *blob.Error. It is
// safe for concurrent use. Keys are relative to the lake's root.
type Backend interface {
	delta.Backend
	// GetRange returns up to n bytes from off on, fewer only at the object's end.
	GetRange(ctx context.Context, key string, off, n int64) ([]byte, error)
	// PutFile stores a local file as the object.
	PutFile(ctx context.Context, key, local string) error
	// Delete removes the object; a missing one is no error.
	Delete(ctx context.Context, key string) error
	// URL returns the address of the root as foreign readers understand it.
	URL() string
}

// patient repeats what fails transiently. A conditional put that is repeated
// may meet itself: package delta recognises that.
type patient struct {
	Backend
	r blob.Retrier
}

func newPatient(b Backend, log *slog.Logger, first time.Duration) patient {
	return patient{Backend: b, r: blob.Retrier{Log: log, First: first}}
}

func (p patient) Get(ctx context.Context, key string) (data []byte, err error) {
	err = p.r.Do(ctx, "getting "+key, func(ctx context.Context) error {
		data, err = p.Backend.Get(ctx, key)
		return err
	})
	return data, err
}

func (p patient) GetRange(ctx context.Context, key string, off, n int64) (data []byte, err error) {
	err = p.r.Do(ctx, "getting "+key, func(ctx context.Context) error {
		data, err = p.Backend.GetRange(ctx, key, off, n)
		return err
	})
	return data, err
}

func (p patient) Put(ctx context.Context, key string, data []byte) error {
	return p.r.Do(ctx, "putting "+key, func(ctx context.Context) error { return p.Backend.Put(ctx, key, data) })
}

func (p patient) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	return p.r.Do(ctx, "putting "+key, func(ctx context.Context) error { return p.Backend.PutIfAbsent(ctx, key, data) })
}

func (p patient) PutFile(ctx context.Context, key, local string) error {
	return p.r.Do(ctx, "putting "+key, func(ctx context.Context) error { return p.Backend.PutFile(ctx, key, local) })
}

func (p patient) List(ctx context.Context, prefix, after string) (infos []blob.Info, err error) {
	err = p.r.Do(ctx, "listing "+prefix, func(ctx context.Context) error {
		infos, err = p.Backend.List(ctx, prefix, after)
		return err
	})
	return infos, err
}
