package mysql

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// driverLog takes what a driver would print on standard error. It says the same of
// each of a hundred connections that a server has cut: so one line a second is
// enough, which counts the others.
type driverLog struct {
	log *slog.Logger

	mu      sync.Mutex
	last    time.Time
	omitted int // since then
}

// newDriverLog drops everything where there is no log.
func newDriverLog(log *slog.Logger) *driverLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &driverLog{log: log}
}

// Print implements mysql.Logger. What was left out is counted in the next line
// that is written. Any goroutine of the driver may call it.
func (l *driverLog) Print(v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.last) < time.Second {
		l.omitted++
		return
	}
	args := []any{"driver", "mysql", "says", fmt.Sprint(v...)}
	if l.omitted > 0 {
		args = append(args, "omitted", l.omitted)
	}
	l.last, l.omitted = now, 0
	l.log.Warn("the database's driver", args...)
}
