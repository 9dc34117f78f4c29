package testkit

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// NamedHost is the name that a Names knows.
const NamedHost = "server.moved.test"

// Names is a name server that knows one name, which can be led to another address as a
// managed endpoint is. Who runs by Wrap asks it, and nobody else does. It takes root.
type Names struct {
	dir string
	to  atomic.Pointer[net.IP]
}

// NewNames starts a name server that says that NamedHost is host, an address of IPv4.
// Loopback has many: a server with "bind 127.0.0.2" is another host with the same port.
func NewNames(tb TB, host string) *Names {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Fatal("a name server of one's own takes root: run this as root")
	}
	Need(tb, "util-linux", []string{"unshare"})
	n := &Names{dir: TempDir(tb, "names")}
	n.Lead(host)
	// Each process has an address of its own, and each name server in it another.
	at := fmt.Sprintf("127.%d.%d.%d", 77+namesStarted.Add(1)%100, os.Getpid()>>8&0xff, os.Getpid()&0xff|1)
	conn, err := net.ListenPacket("udp", at+":53")
	if err != nil {
		tb.Fatalf("starting a name server: %v", err)
	}
	var running sync.WaitGroup
	running.Go(func() { n.serve(conn) })
	tb.Cleanup(func() { _ = conn.Close(); running.Wait() })
	writeFile(tb, n.file(), "nameserver "+at+"\n")
	return n
}

// namesStarted counts the name servers of this process.
var namesStarted atomic.Int32

func (n *Names) file() string { return filepath.Join(n.dir, "resolv.conf") }

// Lead says where the name leads from now on.
func (n *Names) Lead(host string) {
	ip := net.ParseIP(host).To4()
	n.to.Store(&ip)
}

// Wrap is a command line that runs a program that asks this server: launch.Program's
// Wrapper without arguments.
func (n *Names) Wrap(argv ...string) []string {
	return append([]string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, n.file()}, argv...)
}

// serve answers until the connection is closed.
func (n *Names) serve(conn net.PacketConn) {
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
	known := strings.EqualFold(strings.Join(name, "."), NamedHost)
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
