package top

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hearth/internal/tty"
)

// terminal is the terminal of this process, drawn on line by line. One goroutine draws; another
// one may read.
type terminal struct {
	tty    *os.File
	codes  map[mark]string
	before *unix.Termios // how it was found
	drawn  []string      // what stands there, by line; nil: nobody knows
}

// What a terminal is told (xterm, "Control Sequences"): another screen than the shell's, no
// cursor, and lines that do not go on in the next one, should a width be wrong after all.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// stalled is how long a terminal may take what is written to it. A line that hangs must not
// keep signals waiting.
const stalled = time.Second

// openTerminal opens the terminal of the session by its own name: standard input may be a file
// with a token. Opened anew it has deadlines, and its other users do not notice.
func openTerminal(codes map[mark]string) (*terminal, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the terminal: %w", err)
	}
	return &terminal{tty: tty, codes: codes}, nil
}

// control calls f with the terminal's descriptor, which stays non-blocking.
func (t *terminal) control(f func(fd int) error) error {
	raw, err := t.tty.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// enter takes the terminal over: keys come at once and are not shown. Signals stay signals.
func (t *terminal) enter() error {
	err := t.control(func(fd int) error {
		before, err := tty.Mode(fd)
		if err != nil {
			return err
		}
		raw := *before
		raw.Lflag &^= unix.ICANON | unix.ECHO | unix.IEXTEN
		raw.Iflag &^= unix.IXON // Ctrl-S must not look like a server that hangs
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		raw.Cc[unix.VSUSP] = 0 // Ctrl-Z is a key: the terminal is given back first
		t.before = before
		return tty.SetMode(fd, &raw)
	})
	if err != nil {
		return fmt.Errorf("setting up the terminal: %w", err)
	}
	return t.write(enterScreen)
}

// leave gives the terminal back as it was found. What was typed and not read is dropped, so
// that it is no command to the shell.
func (t *terminal) leave() error {
	t.drawn = nil
	if t.before == nil {
		return nil
	}
	err := t.write(leaveScreen)
	before := t.before
	t.before = nil
	return errors.Join(err, t.control(func(fd int) error { return tty.SetModeForgetting(fd, before) }))
}

// size is that of the terminal now.
func (t *terminal) size() size {
	z := size{80, 24}
	_ = t.control(func(fd int) error {
		w, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err == nil && w.Col > 0 && w.Row > 0 { // a serial line does not know
			z = size{int(w.Col), int(w.Row)}
		}
		return err
	})
	return z
}

// draw makes the lines stand there, from the top. Only those that differ are written.
func (t *terminal) draw(lines []line, z size) error {
	var out strings.Builder
	if t.drawn == nil {
		out.WriteString("\x1b[2J")
	}
	now := make([]string, z.height)
	for i := range now {
		if i < len(lines) {
			now[i] = lines[i].painted(t.codes)
		}
		if t.drawn == nil || i >= len(t.drawn) || t.drawn[i] != now[i] {
			fmt.Fprintf(&out, "\x1b[%d;1H\x1b[2K%s", i+1, now[i])
		}
	}
	if t.drawn = now; out.Len() == 0 {
		return nil
	}
	return t.write(out.String())
}

// redraw has the next draw write all lines.
func (t *terminal) redraw() { t.drawn = nil }

// write writes within the time that a terminal has. One that is slow is drawn on anew later.
func (t *terminal) write(text string) error {
	_ = t.tty.SetWriteDeadline(time.Now().Add(stalled))
	_, err := t.tty.WriteString(text)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.redraw()
		return nil
	}
	return err
}

// pending is how long what begins like the sequence of a key may take to become one.
const pending = 100 * time.Millisecond

// readKeys sends keys until the terminal is closed or gone, and returns why. to tells whether
// somebody still wants them.
func (t *terminal) readKeys(to func(key rune) bool) error {
	var in []byte
	buf := make([]byte, 256)
	for {
		deadline := time.Time{}
		if len(in) > 0 {
			deadline = time.Now().Add(pending)
		}
		_ = t.tty.SetReadDeadline(deadline)
		n, err := t.tty.Read(buf)
		in = append(in, buf[:n]...)
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !late {
			return err
		}
		for len(in) > 0 {
			key, rest, more := nextKey(in)
			if more && !late {
				break
			}
			if more { // that was all: the key Esc, or half of something
				key, rest = keyNone, nil
				if len(in) == 1 && in[0] == '\x1b' {
					key = keyEscape
				}
			}
			if in = rest; !to(key) {
				return nil
			}
		}
	}
}
