package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hearth/internal/testkit"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
)

// sender is a client of another language.
type sender struct {
	in  io.Writer
	out *bufio.Scanner
}

// order is what a sender takes; see testdata/senders.
type order struct {
	Host    string            `json:"host,omitempty"`
	Port    int               `json:"port,omitempty"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Size    int               `json:"size"`
	Chunked bool              `json:"chunked,omitempty"`
}

func startSender(t *testing.T, program, script string) *sender {
	t.Helper()
	cmd := exec.Command(program, filepath.Join("testdata", "senders", script))
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	must(t, errors.Join(inErr, outErr, cmd.Start()))
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	})
	return &sender{in, bufio.NewScanner(out)}
}

func (s *sender) send(o order) (string, error) {
	line, err := json.Marshal(o)
	if err == nil {
		_, err = s.in.Write(append(line, '\n'))
	}
	if err != nil {
		return "", err
	}
	if !s.out.Scan() {
		return "", errors.Join(io.ErrUnexpectedEOF, s.out.Err())
	}
	return s.out.Text(), nil
}

// TestAnswersReachOtherClients is TestAnswersReachWhoIsStillSending through the clients
// that others use: Python's sends everything before it reads, node's as much as it
// can.
func TestAnswersReachOtherClients(t *testing.T) {
	t.Parallel()
	python := testkit.Need(t, "python3", []string{"/usr/bin/python3", "python3"})
	node := testkit.Need(t, "nodejs", []string{"node", "nodejs"})
	l := refusing(t)
	for _, client := range []struct{ name, program, script string }{{"python", python, "send.py"}, {"node", node, "send.js"}} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			s := startSender(t, client.program, client.script)
			for i, r := range refusedRequests {
				for j, size := range sizesOfContent() {
					for range timesEach() {
						host, port, _ := net.SplitHostPort(l.addr(r.listener))
						headers := map[string]string{"Content-Type": "application/json"}
						for name, value := range r.headers {
							headers[name] = value
						}
						o := order{Host: host, Method: r.method, Path: r.path, Headers: headers, Size: size, Chunked: (i+j)%2 == 1}
						_, _ = fmt.Sscan(port, &o.Port)
						if got, err := s.send(o); err != nil || got != fmt.Sprint(r.want) {
							t.Errorf("%s %s of %d bytes, chunked %v, on the %s listener: %q, %v, want %d", r.method, r.path, size, o.Chunked, r.listener, got, err, r.want)
						}
					}
				}
			}
		})
	}
}
