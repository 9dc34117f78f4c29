package deploy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// provocation is a request by which a client might make a balancer believe that a
// server has failed.
type provocation struct {
	name         string
	method, path string
	headers      string
	size         int
	want         []int
}

// provocations are sent to a Hearth with the demo's records, a limit of one request
// an hour on /limited and a resource /away whose origin does not answer. 8 MiB is
// server.max_body and client_max_body_size.
var provocations = []provocation{
	{"content to no path", "POST", "/nowhere", "", 700 << 10, []int{404}},
	{"content to a path that takes none", "POST", "/user/1", "", 700 << 10, []int{405}},
	{"content of another type", "PUT", "/user/1", "Content-Type: text/plain\r\n", 700 << 10, []int{415}},
	{"a little content to no path", "POST", "/nowhere", "", 3 << 10, []int{404}},
	{"content in a GET", "GET", "/user/1", "", 700 << 10, []int{200}},
	{"content that is no JSON", "PUT", "/user/1", "Content-Type: application/json\r\n", 7 << 20, []int{400}},
	{"more content than server.max_body", "PUT", "/user/1", "Content-Type: application/json\r\n", 20 << 20, []int{413}},
	{"a header larger than server.max_header", "POST", "/nowhere",
		strings.Repeat("X-Large: "+strings.Repeat("x", 6<<10)+"\r\n", 3), 700 << 10, []int{431, 400}},
	{"an expectation", "POST", "/nowhere", "Expect: tea\r\n", 700 << 10, []int{404, 417}},
	{"another host", "GET", "http://elsewhere.example/user/1", "", 0, []int{200, 400}},
	{"a fragment", "GET", "/user/1#x", "", 0, []int{200, 400}},
	{"a percent sign", "GET", "/user/%zz", "", 0, []int{400}},
	{"an unknown method", "BREW", "/user/1", "", 700 << 10, []int{405}},
	{"beyond a limit", "GET", "/limited/1", "", 0, []int{404, 429}},
	{"a record whose source is away", "GET", "/away/1", "", 0, []int{502, 503, 504}},
	{"a write whose source is away", "DELETE", "/away/1", "", 0, []int{405, 502, 503, 504}},
}

// awayConfig is what provocations need besides the demo.
const awayConfig = `
[[limit]]
name = "one"
paths = ["/limited/{id:int}"]
by = "global"
rate = "1/h"
local_rate = "1/h"
[[resource]]
name = "limited"
path = "/limited/{id:int}"
key = "limited:{id}"
select = "SELECT id FROM users WHERE id = {id} AND id < 0"
[[resource]]
name = "away"
path = "/away/{id:int}"
key = "away:{id}"
origin = "http://127.0.0.1:9/{id}"
`

// provoke sends it on a connection of its own, all of it before it reads, and
// returns the status.
func (p provocation) provoke(addr string) (int, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	length := ""
	if p.size > 0 {
		length = fmt.Sprintf("Content-Length: %d\r\n", p.size)
	}
	// The balancer may refuse it, and close, before all of it is written.
	_, sent := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: hearth\r\nConnection: close\r\n%s%s\r\n%s", p.method, p.path, p.headers, length, strings.Repeat("x", p.size))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, fmt.Errorf("reading the answer (sending: %v): %w", sent, err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// leave sends half of it and is gone.
func (p provocation) leave(addr string) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: hearth\r\n%sContent-Length: %d\r\n\r\n%s", p.method, p.path, p.headers, p.size, strings.Repeat("x", p.size/2))
}

// TestBalancersDoNotTakeAClientForAFailure lets a client send whatever is refused,
// again and again, while others read. It gets its answers, they lose nothing, and no
// server is left. One that is dead still is.
func TestBalancersDoNotTakeAClientForAFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b balancer) {
		var servers [3]*server
		var addrs [3]string
		for i := range servers {
			servers[i] = newServer(t, launch.Demo(t)+awayConfig, "HEARTH_SERVER_DRAIN="+b.drain)
			addrs[i] = servers[i].Public
		}
		text, addr := b.config(t, addrs)
		// nginx says at this level only that it leaves a server.
		proxy := b.start(t, strings.Replace(text, "access_log off;\n", "access_log off;\nerror_log stderr warn;\n", 1))
		url := "http://" + addr
		left := map[string]string{"haproxy": "is DOWN", "nginx": "temporarily disabled"}[b.name]
		testkit.Eventually(t, patience, "the balancer answers", func() bool {
			code, err := send(http.MethodGet, url+"/user/1", nil)
			return err == nil && code == http.StatusOK
		})

		times := 1 // each in three at a time
		if testkit.Long() {
			times = 30
		}
		sent, stop := load(t, http.MethodGet, url+"/user/1", 2)
		defer stop()
		for _, p := range provocations {
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					for range times {
						code, err := p.provoke(addr)
						if err != nil || !slices.Contains(p.want, code) {
							t.Errorf("%s: %d (%v), want one of %v", p.name, code, err, p.want)
						}
						if p.size > 0 && p.size < 1<<20 {
							p.leave(addr)
						}
					}
				})
			}
			all.Wait()
		}
		if strings.Contains(proxy.Logs(), left) {
			t.Errorf("the balancer took a server out:\n%.4000s", proxy.Logs())
		}
		servers[0].Kill()
		before := sent.Load()
		testkit.Eventually(t, patience, "requests go on, and the dead server is left", func() bool {
			return sent.Load() > before+100 && strings.Contains(proxy.Logs(), left)
		})
	})
}

// TestChecksFindRoom lets one client keep more requests open than Hearth has
// connections: the others wait at HAProxy, and its checks still get in.
func TestChecksFindRoom(t *testing.T) {
	t.Parallel()
	b := balancers[0]
	s := newServer(t, launch.Demo(t), "HEARTH_SERVER_MAX_IN_FLIGHT=1", "HEARTH_SERVER_READ_TIMEOUT=5m") // 1024 connections
	text, addr := b.config(t, [3]string{s.Public, s.Public, s.Public})
	if strings.Count(text, "maxconn 20000\n") != 1 {
		t.Fatal("haproxy.cfg bounds no server's connections by 20000")
	}
	stats := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
	// Nothing of what the client keeps open ends while it opens the rest, on a slow machine either,
	// where a check that has found room may take its time.
	text = strings.NewReplacer("maxconn 20000\n", "maxconn 300\n", "timeout check 1s\n", "timeout check 20s\n", "timeout server 15s\n", "timeout server 5m\n", "timeout client 60s\n", "timeout client 5m\n").Replace(text)
	text += "\nlisten stats\n\tbind " + stats + "\n\tstats enable\n\tstats uri /\n"
	b.start(t, text)
	awaitHealth(t, stats, true)
	for range 1100 {
		conn, err := net.DialTimeout("tcp", addr, patience)
		must(t, err)
		defer conn.Close()
		// More than HAProxy waits for, and less than all.
		_, _ = fmt.Fprintf(conn, "PUT /user/1 HTTP/1.1\r\nHost: hearth\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat(" ", 20<<10))
	}
	testkit.Eventually(t, patience, "they are with the server", func() bool { return s.Metric("hearth_connections_open") >= 900 })
	since := s.Metric(`hearth_requests_total{code="200",resource="",tier="none"}`)
	testkit.Eventually(t, patience, "ten checks have got in", func() bool {
		return s.Metric(`hearth_requests_total{code="200",resource="",tier="none"}`) >= since+10
	})
	for _, server := range statistics(t, stats) {
		if server["chkfail"] != "0" || server["chkdown"] != "0" || server["check_status"] != "L7OK" && server["check_status"] != "* L7OK" {
			t.Errorf("%s checks of %s have failed, which was down %s times and is %s", server["chkfail"], server["svname"], server["chkdown"], server["status"])
		}
	}
}
