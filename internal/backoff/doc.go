// Package backoff paces retries: each failure doubles the wait up to a limit,
// and a random part of it keeps many clients from knocking in step.
//
// A Backoff belongs to one retry loop and is not safe for concurrent use:
//
//	b := backoff.New(backoff.Config{Min: 100 * time.Millisecond, Max: 10 * time.Second})
//	for {
//		if err := try(ctx); err == nil {
//			b.Reset()
//			continue
//		}
//		if err := b.Wait(ctx); err != nil {
//			return err // the context ended
//		}
//	}
package backoff
