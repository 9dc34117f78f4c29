package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"time"
)

// Follower is told of a stream, by one goroutine: the one that follows it.
type Follower struct {
	// Linked is called when the listener has begun to answer, the first time and after each
	// loss. What was missed meanwhile, if anything, can be asked for then.
	Linked func()
	// Event takes an event; the data is good until it returns.
	Event func(name string, data []byte)
	// Lost is called when the link is lost, and again for each try to get it back that fails.
	Lost func(err error)
}

// Pauses between tries to get a link back: the first one, unless the server names another, and
// how long they grow.
const (
	firstPause = time.Second
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// Follow follows a stream of events below the listener's root, over restarts of the server,
// until ctx ends. A listener that cannot be reached the first time, or that refuses for good,
// ends it, too: the error is that of Get. One that says nothing for Config.Timeout is lost.
func (c *Client) Follow(ctx context.Context, path string, f Follower) error {
	first, pause := firstPause, firstPause
	for linked := false; ; {
		moved := false
		once := Follower{
			Linked: func() { linked = true; f.Linked() },
			// What answers and says nothing is no reason to ask more often.
			Event: func(name string, data []byte) { moved = true; f.Event(name, data) },
		}
		err := c.follow(ctx, path, once, func(d time.Duration) { first = min(max(d, leastPause), mostPause) })
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !linked || final(err):
			return err
		case moved:
			pause = first
		}
		f.Lost(err)
		if !c.pause(ctx, pause*3/4+rand.N(pause/2)) {
			return context.Cause(ctx)
		}
		pause = min(2*pause, mostPause)
	}
}

// final tells whether asking again is in vain: the token is none any more, or somebody else
// answers. A server that starts or drains, one with too many followers, and a proxy whose
// server is away are another matter.
func final(err error) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Status < 500 && refusal.Status != http.StatusTooManyRequests ||
		ok && refusal.Status == http.StatusHTTPVersionNotSupported || errors.Is(err, errNoStream)
}

// follow follows a stream until it ends, which it does with an error.
func (c *Client) follow(ctx context.Context, path string, f Follower, retry func(time.Duration)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.cfg.Timeout, func() { cancel(errSilent) })
	defer silence.Stop()
	resp, err := c.ask(ctx, path, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media != "text/event-stream" {
		return c.noStream(path, errNoStream)
	}
	f.Linked()
	heard := func() { silence.Reset(c.cfg.Timeout) }
	heard()
	e := events{retry: retry, event: func(name string, data []byte) {
		// Who is told may ask the listener something, and that is no silence.
		silence.Stop()
		f.Event(name, data)
		heard()
	}}
	if err = e.read(hearing{resp.Body, heard}); errors.Is(err, errNoStream) {
		return c.noStream(path, err)
	}
	return c.unreachable(ctx, err)
}

func (c *Client) noStream(path string, err error) error {
	return fmt.Errorf("asking %s for %s: %w; is %s right?", c.cfg.Address, path, err, c.cfg.from())
}

// hearing is a reader that tells when something was read.
type hearing struct {
	io.Reader
	heard func()
}

func (h hearing) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.heard()
	}
	return n, err
}

// sleep waits for d; false: ctx has ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
