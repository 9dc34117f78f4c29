package top

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"hearth/internal/operator"
	"hearth/internal/timeline"
)

// watch follows a server's ticks, and asks for what they have no room for.
type watch struct {
	client *operator.Client
	order  atomic.Value // of hot keys: a string
	to     chan report
}

// report is what has come: one of its parts.
type report struct {
	tick   *timeline.Tick
	hot    []timeline.Hot // beside a tick; nil: the tick's own have to do
	events []event        // of before
	lost   error
	end    error // nothing more will come
}

const (
	// mostHot is how many hot keys are asked for.
	mostHot = 100
	// beside is how long what is asked for beside the stream may take.
	beside = 2 * time.Second
)

func newWatch(client *operator.Client, order string) *watch {
	w := &watch{client: client, to: make(chan report)}
	w.order.Store(order)
	return w
}

// run reports until ctx ends, or there is nothing more to come.
func (w *watch) run(ctx context.Context) {
	end := func(err error) { w.report(ctx, report{end: err}) }
	defer func() {
		if fault := recover(); fault != nil { // the terminal is given back before this is told
			end(fmt.Errorf("BUG: %v\n%s", fault, debug.Stack()))
		}
	}()
	end(w.client.Follow(ctx, "/api/stream", operator.Follower{
		Linked: func() { w.report(ctx, report{events: w.past(ctx)}) },
		Event: func(name string, data []byte) {
			t := &timeline.Tick{}
			if name != "tick" || json.Unmarshal(data, t) != nil || t.Values == nil {
				return // of a later version
			}
			w.report(ctx, report{tick: t, hot: w.hot(ctx)})
		},
		Lost: func(err error) { w.report(ctx, report{lost: err}) },
	}))
}

// report waits until it is taken. A terminal that is slow has ticks left out at the server.
func (w *watch) report(ctx context.Context, r report) {
	select {
	case w.to <- r:
	case <-ctx.Done():
	}
}

// ask reads an answer into v, if there is one.
func (w *watch) ask(ctx context.Context, v any, path string, query url.Values) {
	ctx, cancel := context.WithTimeout(ctx, beside)
	defer cancel()
	answer, err := w.client.Get(ctx, path, query)
	if err == nil {
		_ = json.Unmarshal(answer, v)
	}
}

// past are the events of before. Without them all else works.
func (w *watch) past(ctx context.Context) []event {
	var history struct{ Events []event }
	w.ask(ctx, &history, "/api/history", url.Values{"span": {"hour"}})
	return history.Events
}

// hot are the hot keys in the order that is looked at.
func (w *watch) hot(ctx context.Context) []timeline.Hot {
	var list struct{ Keys []timeline.Hot }
	order, _ := w.order.Load().(string)
	w.ask(ctx, &list, "/api/hot", url.Values{"by": {order}, "limit": {strconv.Itoa(mostHot)}})
	return list.Keys
}
