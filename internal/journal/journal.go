// Package journal writes log lines the way systemd's journal reads them from
// standard error: each begins with its priority, <3> to <7>, and carries no
// time, for the journal stamps what it receives.
//
// Without the prefix every line of a service has the one priority that its unit
// names, and `journalctl -p err` shows nothing of it. The journal takes the
// prefix off again (sd-daemon(3)), so it is never seen there; anywhere else it
// would be noise. Hence Attached, which tells the journal from a file or a pipe
// that merely inherited its environment.
package journal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Attached tells whether what is written to f goes to the journal: systemd sets
// JOURNAL_STREAM to device and inode of the stream that it connected, and a
// shell in between may have redirected f since (systemd.exec(5)).
func Attached(f *os.File) bool {
	if f == nil {
		return false
	}
	device, inode, ok := strings.Cut(os.Getenv("JOURNAL_STREAM"), ":")
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && device == strconv.FormatUint(uint64(stat.Dev), 10) && inode == strconv.FormatUint(uint64(stat.Ino), 10)
}

// NewHandler returns a handler that writes to w lines of the text format of
// log/slog with priority and without time, each with one Write. What has a line
// break in it is quoted, as slog does, so every record is one line and none can
// pass for another. level may change while it is in use.
func NewHandler(w io.Writer, level slog.Leveler) slog.Handler {
	out := &output{w: w}
	return &handler{out: out, text: slog.NewTextHandler(&out.line, &slog.HandlerOptions{Level: level})}
}

// handler is a text handler whose lines go through output.
type handler struct {
	out  *output
	text slog.Handler
}

// output is where the lines of a handler, and of all made from it by With, come
// together.
type output struct {
	mu   sync.Mutex
	w    io.Writer
	line bytes.Buffer
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Time{} // which the text format leaves out
	o := h.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.line.Reset()
	o.line.WriteString(priority(r.Level))
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	if _, err := o.w.Write(o.line.Bytes()); err != nil {
		return fmt.Errorf("writing to the journal: %w", err)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.out, h.text.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.out, h.text.WithGroup(name)}
}

// priority is the prefix for a level, as syslog(3) numbers them.
func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}
