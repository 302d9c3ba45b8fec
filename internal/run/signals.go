package run

import (
	"context"
	"os"
)

// Signals turns signals into an orderly stop: the first one ends the context, the second one closes abort. Call release
// when done; it waits for the goroutine. The caller connects c with signal.Notify.
func Signals(parent context.Context, c <-chan os.Signal) (ctx context.Context, abort <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(parent)
	second, quit, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; {
			select {
			case <-c:
				switch n++; n {
				case 1:
					cancel()
				case 2:
					close(second)
				}
			case <-quit:
				return
			}
		}
	}()
	return ctx, second, func() {
		cancel()
		close(quit)
		<-done
	}
}
