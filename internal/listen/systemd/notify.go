package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// States for Notify (sd_notify(3)).
const (
	Ready     = "READY=1"     // started, or done reloading
	Reloading = "RELOADING=1" // reloading; Ready follows
	Stopping  = "STOPPING=1"  // draining
	Alive     = "WATCHDOG=1"  // feeds the watchdog
)

// notifyTimeout bounds the wait for a service manager that does not read.
const notifyTimeout = time.Second

// Notify tells the service manager a state; several go into one call separated
// by newlines, "STATUS=…" among them. Where no manager asked (NOTIFY_SOCKET is
// not set) it does nothing. With Reloading it sends the time, which
// Type=notify-reload needs to tell this reload from an earlier one.
func Notify(state string) error {
	n, err := OpenNotifier()
	if err != nil {
		return err
	}
	return errors.Join(n.Notify(state), n.Close())
}

// Notifier is a connection to the service manager that is kept, so that the
// watchdog is fed even when no descriptors are left.
type Notifier struct{ conn *net.UnixConn } // nil where no manager asked

// OpenNotifier connects to the service manager.
func OpenNotifier() (*Notifier, error) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return &Notifier{}, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("notifying the service manager: NOTIFY_SOCKET is %q, want a path or an abstract socket", path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("notifying the service manager: %w", err)
	}
	return &Notifier{conn}, nil
}

// Notify is the function of that name.
func (n *Notifier) Notify(state string) error {
	if n.conn == nil {
		return nil
	}
	if slices.Contains(strings.Split(state, "\n"), Reloading) {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			return fmt.Errorf("notifying the service manager: reading the monotonic clock: %w", err)
		}
		state += "\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
	}
	err := n.conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if err == nil {
		_, err = n.conn.Write([]byte(state))
	}
	if err != nil {
		return fmt.Errorf("notifying the service manager: %w", err)
	}
	return nil
}

// Close ends the connection.
func (n *Notifier) Close() error {
	if n.conn == nil {
		return nil
	}
	return n.conn.Close()
}

// WatchdogInterval is how often the service manager wants to hear Alive: half
// of WATCHDOG_USEC, as sd_watchdog_enabled(3) advises. Zero means that it does
// not ask this process: WATCHDOG_USEC is not set, or WATCHDOG_PID names another.
// The variables stay set, like NOTIFY_SOCKET, which is needed to the end; a
// process that starts others without cleaning their environment has to see to it.
func WatchdogInterval() (time.Duration, error) {
	return watchdogInterval(os.Getpid(), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"))
}

// watchdogInterval is WatchdogInterval for a process and an environment.
func watchdogInterval(pid int, usecs, whose string) (time.Duration, error) {
	if usecs == "" {
		return 0, nil
	}
	if whose != "" {
		id, err := strconv.Atoi(whose)
		if err != nil || id <= 0 {
			return 0, fmt.Errorf("reading the watchdog's interval: WATCHDOG_PID is %q, want a process id", whose)
		}
		if id != pid {
			return 0, nil
		}
	}
	usec, err := strconv.ParseInt(usecs, 10, 64)
	if err != nil || usec <= 0 || usec > int64(1<<63-1)/int64(time.Microsecond) {
		return 0, fmt.Errorf("reading the watchdog's interval: WATCHDOG_USEC is %q, want microseconds", usecs)
	}
	return time.Duration(usec) * time.Microsecond / 2, nil
}
