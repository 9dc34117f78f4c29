package top

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// newTerminal is a terminal whose other end, what a person sits at, the test has.
func newTerminal(t *testing.T) (*terminal, *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	tt := &terminal{tty: person}
	var number uint32
	err = tt.control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{tty: tty, codes: coloured}, person
}

// settings are those of a terminal.
func settings(t *testing.T, tty *os.File) (found unix.Termios) {
	t.Helper()
	err := (&terminal{tty: tty}).control(func(fd int) error {
		got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			found = *got
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestAPanicGivesTheTerminalBack, and is told behind it.
func TestAPanicGivesTheTerminalBack(t *testing.T) {
	tt, person := newTerminal(t)
	before := settings(t, person) // of both ends
	c := Config{Notify: func(chan<- os.Signal, ...os.Signal) {
		if raw := settings(t, person); raw.Lflag&(unix.ECHO|unix.ICANON) != 0 {
			t.Errorf("the settings are %+v", raw)
		}
		panic("oops")
	}}
	if err := c.interact(t.Context(), tt, watched(), newWatch(nil, "reads")); err == nil || !strings.HasPrefix(err.Error(), "BUG: oops") {
		t.Errorf("ended with %v", err)
	}
	if diff := cmp.Diff(before, settings(t, person)); diff != "" {
		t.Error(diff)
	}
	buf := make([]byte, 4096)
	n, err := io.ReadAtLeast(person, buf, len(enterScreen)+len(leaveScreen))
	if err != nil || string(buf[:n]) != enterScreen+leaveScreen {
		t.Errorf("told %q, %v", buf[:n], err)
	}
}

// TestATerminalThatIsGone ends it.
func TestATerminalThatIsGone(t *testing.T) {
	tt, person := newTerminal(t)
	c := Config{Notify: func(chan<- os.Signal, ...os.Signal) { _ = person.Close() }}
	if err := c.interact(t.Context(), tt, watched(), newWatch(nil, "reads")); err == nil {
		t.Error("ended without an error")
	}
}

// TestATerminalThatHangs keeps nobody waiting, and is drawn on anew later.
func TestATerminalThatHangs(t *testing.T) {
	t.Parallel()
	tt, person := newTerminal(t)
	defer tt.tty.Close()
	lines := watched().draw(size{80, 24}, begin.Add(time.Second))
	for i := 0; ; i++ { // until what nobody reads has no more room
		if tt.redraw(); tt.draw(lines, size{80, 24}) != nil {
			t.Fatal("a terminal that hangs is an error")
		}
		if tt.drawn == nil {
			break
		}
		if i > 1000 {
			t.Fatal("a thousand screens find room")
		}
	}
	if _, err := person.Read(make([]byte, 4096)); err != nil {
		t.Error(err)
	}
}
