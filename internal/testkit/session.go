package testkit

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// Session is the client program of a database, connected once and given one statement
// after the other: what an operator's shell is, or any program of others that keeps its
// connection. It is used by one goroutine at a time.
type Session struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors strings.Builder // what the program has complained of; read after its end
	echo   func(mark string) string
	marks  int
	end    sync.Once
}

// Session starts a client of the database, psql or mariadb, which connects at once. The
// caller closes it. It may be called from any goroutine.
func (d *Database) Session() (*Session, error) {
	echo := func(mark string) string { return `\echo ` + mark }
	cmd := d.server.client(d.server, d.name)
	if d.server.engine == mariaDB {
		// Unbuffered, so that the answer to a statement is told before the next is asked for.
		cmd = d.server.client(d.server, d.name, "--unbuffered")
		echo = func(mark string) string { return "SELECT '" + mark + "';" }
	}
	return newSession(cmd, echo)
}

// SQLite starts SQLite's shell on a file, as Database.Session does.
func SQLite(path string) (*Session, error) {
	program, err := Find("sqlite3", []string{"sqlite3"})
	if err != nil {
		return nil, err
	}
	// A program that shares a file waits for the lock of another.
	cmd := exec.Command(program, "-batch", "-bail", "-cmd", ".timeout 10000", path)
	return newSession(cmd, func(mark string) string { return ".print " + mark })
}

func newSession(cmd *exec.Cmd, echo func(string) string) (*Session, error) {
	s := &Session{cmd: cmd, echo: echo}
	out, err := cmd.StdoutPipe()
	if err == nil {
		s.in, err = cmd.StdinPipe()
	}
	if err != nil {
		return nil, err
	}
	s.out, cmd.Stderr = bufio.NewReader(out), &s.errors
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return s, nil
}

// Do has the statements run, each followed by a semicolon, and returns what they printed
// when the last one was answered. An error ends the session, for a client that goes on
// after one would hide it.
func (s *Session) Do(statements string) (string, error) {
	s.marks++
	mark := fmt.Sprintf("-- done %d", s.marks)
	if _, err := fmt.Fprintf(s.in, "%s\n%s\n", statements, s.echo(mark)); err != nil {
		return "", s.ended(statements, err)
	}
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return "", s.ended(statements, err)
		}
		if strings.TrimSuffix(line, "\n") == mark {
			return printed.String(), nil
		}
		printed.WriteString(line)
	}
}

// ended is why the program has ended, by its own words.
func (s *Session) ended(statements string, err error) error {
	s.Close()
	return fmt.Errorf("asking %s %.200q: %w\n%s", s.cmd.Path, statements, err, s.errors.String())
}

// Close ends the program, and what it has not committed. A second time it does nothing.
// It may be called from another goroutine, which ends a Do that waits.
func (s *Session) Close() {
	s.end.Do(func() {
		_ = s.cmd.Process.Kill()
		_ = s.in.Close()
		_ = s.cmd.Wait()
	})
}
