package command

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"hearth/internal/app"
)

// obey does what signals ask for until the server has ended. The first signal
// that ends it lets it end in order, the second ends the process. Both are taken
// from one channel: two that come in the same moment are two.
func obey(ended <-chan struct{}, hups, ends <-chan os.Signal, a *app.App, stop context.CancelCauseFunc) {
	for stopping := false; ; {
		select {
		case <-ended:
			return
		case <-hups:
			a.Reload()
		case s := <-ends:
			switch {
			case stopping:
				die(s)
			case s == syscall.SIGINT:
				stop(app.ErrNow)
			default:
				stop(errors.New("asked to stop (" + s.String() + ")"))
			}
			stopping = true
		}
	}
}

// die ends the process as s does by default. Where s was ignored when the
// process was started (a shell does that to what it runs in the background), it
// ends all the same.
func die(s os.Signal) {
	number, _ := s.(syscall.Signal)
	signal.Reset(s) // the default action, or to ignore it
	_ = syscall.Kill(os.Getpid(), number)
	time.Sleep(100 * time.Millisecond) // another thread may be about to take it
	os.Exit(128 + int(number))
}
