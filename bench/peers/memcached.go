package peers

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// startMemcached starts memcached with one thread and stores record 1 in it. It speaks a
// protocol of its own, which is less to read and to write than HTTP: no peer for a server
// of HTTP, but the least that answering a key from memory is known to cost.
func (s *Servers) startMemcached(tb testkit.TB) {
	path := testkit.Need(tb, "memcached", []string{"memcached"})
	p := s.newPeer(tb, "memcached")
	p.memcached, p.body = true, Record(1, s.Size)
	_, port, _ := strings.Cut(p.Addr, ":")
	stored := false
	p.Process = testkit.Start(tb, testkit.Command{
		Name: p.Name, Dir: s.Dir, CPUs: s.CPUs, Argv: []string{path, "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "1", "-c", "20000", "-u", "nobody"},
	})
	testkit.Eventually(tb, startWithin, "memcached stores a record", func() bool {
		text := fmt.Sprintf("set user:1 0 0 %d\r\n%s\r\n", len(p.body), p.body)
		stored = p.exchange(text, "STORED\r\n") == nil
		return stored || !p.Running()
	})
	s.AwaitRight(tb, p, startWithin)
	s.Peers = append(s.Peers, p)
}

// verifyMemcached checks that memcached gives the right answer now.
func (p *Peer) verifyMemcached() error {
	return p.exchange("get user:1\r\n", fmt.Sprintf("VALUE user:1 0 %d\r\n%s\r\nEND\r\n", len(p.body), p.body))
}

// exchange sends text over a connection of its own and wants an answer.
func (p *Peer) exchange(text, want string) (err error) {
	const within = 5 * time.Second
	conn, err := net.DialTimeout("tcp", p.Addr, within)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		return fmt.Errorf("%s answers %q (%w), want %q", p.Name, got[:n], err, want)
	}
	return nil
}
