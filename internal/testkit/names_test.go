package testkit

import (
	"net"
	"os/exec"
	"strings"
	"testing"
)

// TestNamesAreFollowed by a program that runs by Wrap.
func TestNamesAreFollowed(t *testing.T) {
	t.Parallel()
	n := NewNames(t, "127.0.0.1")
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		n.Lead(host)
		argv := n.Wrap("getent", "ahostsv4", NamedHost)
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), host+" ") {
			t.Errorf("the name is said to be %s, %v, want %s", out, err, host)
		}
	}
}

// TestNameServer asks for the name, by another kind, for another name, and nonsense.
func TestNameServer(t *testing.T) {
	question := func(kind byte, labels ...string) []byte {
		q := []byte{7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for _, label := range labels {
			q = append(append(q, byte(len(label))), label...)
		}
		return append(q, 0, 0, kind, 0, 1)
	}
	ip := net.IPv4(127, 0, 0, 2).To4()
	f := func(q []byte, wantCode byte, wantAnswers byte) {
		t.Helper()
		got := answerTo(q, ip)
		if got == nil || got[0] != 7 || got[1] != 9 || got[3]&15 != wantCode || got[7] != wantAnswers {
			t.Errorf("%q is answered %q", q, got)
		} else if wantAnswers == 1 && string(got[len(got)-4:]) != string(ip) {
			t.Errorf("the address is %v", got[len(got)-4:])
		}
	}
	f(question(1, "server", "moved", "test"), 0, 1)
	f(question(1, "Server", "MOVED", "test"), 0, 1)
	f(question(28, "server", "moved", "test"), 0, 0)
	f(question(1, "other", "test"), 3, 0)
	for n := range len(question(1, "server")) {
		if got := answerTo(question(1, "server")[:n], ip); got != nil {
			t.Errorf("%d bytes of a question are answered %q", n, got)
		}
	}
}
