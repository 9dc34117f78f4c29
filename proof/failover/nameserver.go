package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"hearth/internal/testkit"
)

// namedHost is the name that moves.
const namedHost = "redis.moved.test"

// nameServer is one that knows one name. Who runs by wrap asks it, and nobody else
// does. It takes root.
type nameServer struct {
	dir string
	to  atomic.Pointer[net.IP]
}

// newNames starts a name server that says that the name is host.
func newNameServer(t *trial, host string) *nameServer {
	if os.Getuid() != 0 {
		t.Fatal("a name server of one's own takes root: run this as root")
	}
	testkit.Need(t, "util-linux", []string{"unshare"})
	n := &nameServer{dir: testkit.TempDir(t, "names")}
	n.lead(host)
	at := fmt.Sprintf("127.77.%d.%d", os.Getpid()>>8&0xff, os.Getpid()&0xff|1)
	conn, err := net.ListenPacket("udp", at+":53")
	if err != nil {
		t.Fatalf("starting a name server: %v", err)
	}
	var running sync.WaitGroup
	running.Go(func() { n.serve(conn) })
	t.Cleanup(func() { _ = conn.Close(); running.Wait() })
	if err := os.WriteFile(n.file(), []byte("nameserver "+at+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *nameServer) file() string { return filepath.Join(n.dir, "resolv.conf") }

// lead says where the name leads from now on.
func (n *nameServer) lead(host string) {
	ip := net.ParseIP(host).To4()
	n.to.Store(&ip)
}

// wrap is a command line that runs a program that asks this server.
func (n *nameServer) wrap(argv ...string) []string {
	return append([]string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, n.file()}, argv...)
}

// serve answers until the connection is closed.
func (n *nameServer) serve(conn net.PacketConn) {
	question := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(question)
		if err != nil {
			return
		}
		if answer := answerTo(question[:size], *n.to.Load()); answer != nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

// answerTo answers one question of RFC 1035: the name has this address of IPv4, and none
// of any other kind. nil: it is no question.
func answerTo(question []byte, ip net.IP) []byte {
	const header = 12
	at, name := header, []string{}
	for at < len(question) && question[at] != 0 {
		end := at + 1 + int(question[at])
		if end >= len(question) {
			return nil
		}
		name = append(name, string(question[at+1:end]))
		at = end
	}
	end := at + 5 // the root, the kind, the class
	if end > len(question) {
		return nil
	}
	known := strings.EqualFold(strings.Join(name, "."), namedHost)
	has := known && question[at+2] == 1 // A
	answer := append([]byte{question[0], question[1], 0x85, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[header:end]...)
	if !known {
		answer[3] |= 3 // no such name
	}
	if has {
		answer[7] = 1
		answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name above, for 0 s
		answer = append(answer, ip...)
	}
	return answer
}
