package app

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"hearth/internal/config"
	"hearth/internal/journal"
)

// Log is where the log goes. Level and format can change while it is in use,
// also for loggers that were made from it before.
type Log struct {
	to      io.Writer
	level   slog.LevelVar
	handler atomic.Pointer[slog.Handler]
}

// NewLog returns a log that is written to w.
func NewLog(c config.Log, w io.Writer) *Log {
	l := &Log{to: w}
	l.Set(c)
	return l
}

// Set changes level and format. It is safe for concurrent use.
func (l *Log) Set(c config.Log) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // config.Load accepts known levels only
	l.level.Set(level)
	var h slog.Handler
	file, _ := l.to.(*os.File)
	options := &slog.HandlerOptions{Level: &l.level}
	switch {
	case c.Format == "json":
		h = slog.NewJSONHandler(l.to, options)
	// Text for people; the journal has a time and a priority of its own.
	case journal.Attached(file):
		h = journal.NewHandler(l.to, &l.level)
	default:
		h = slog.NewTextHandler(l.to, options)
	}
	l.handler.Store(&h)
}

// Logger returns a logger that follows Set.
func (l *Log) Logger() *slog.Logger { return slog.New(follower{log: l}) }

// follower is a handler that asks for the real one at each record. What With
// adds it keeps, and adds to whichever handler there is.
type follower struct {
	log *Log
	add []func(slog.Handler) slog.Handler
}

// Enabled implements slog.Handler.
func (f follower) Enabled(_ context.Context, level slog.Level) bool {
	return level >= f.log.level.Level()
}

// Handle implements slog.Handler.
func (f follower) Handle(ctx context.Context, r slog.Record) error {
	// One load for each record: it is written by one handler as a whole.
	h := *f.log.handler.Load()
	for _, add := range f.add {
		h = add(h)
	}
	return h.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (f follower) WithAttrs(attrs []slog.Attr) slog.Handler {
	return f.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (f follower) WithGroup(name string) slog.Handler {
	return f.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

// with returns a follower with one more addition. The slice is clipped, or two
// loggers made from one would share its end.
func (f follower) with(add func(slog.Handler) slog.Handler) slog.Handler {
	return follower{f.log, append(f.add[:len(f.add):len(f.add)], add)}
}
