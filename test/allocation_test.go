//go:build !race

package test

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestAllocationsPerRequest is the gate on what requests cost: what the whole program
// allocates for them, from the socket to Redis and back, as a mean over many, in the best of four parts. Allocations
// are counted and not timed, so it says the same on every machine. A bound is a little
// above what is needed now: who comes to need more either mends that or says why here.
// The count of instructions would say more, and is not to be had where tests run in
// virtual machines.
func TestAllocationsPerRequest(t *testing.T) {
	redis := testkit.Redis(t)
	in := startHere(t, redis)
	small := startHere(t, redis, "HEARTH_MEMORY_BUDGET=1MiB")

	const fill = 10_000 // far more than the small memory holds
	in.post(t, "/batch_process", itemsFrom(0, fill))
	in.post(t, "/batch_process", []byte(`[{"id":"hot"},{"id":"big","text":"`+strings.Repeat("warm hearth ", 300)+`"}]`))
	etag := in.warm(t, "/item/hot")
	in.warm(t, "/item/big")
	for i := range 100 {
		in.warm(t, "/item/"+strconv.Itoa(i))
		in.warm(t, "/item/"+strconv.Itoa(i))
	}
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = "id=" + strconv.Itoa(i)
	}
	many := "/item?" + strings.Join(ids, "&")
	one := func(text string) func(int) []byte {
		request := []byte(text)
		return func(int) []byte { return request }
	}
	items := func(path string) func(int) []byte {
		return one(string(postOf(path, itemsFrom(0, 100))))
	}
	for _, c := range []struct {
		name    string
		on      *inner
		request func(n int) []byte
		status  string
		times   int
		parts   float64 // of one request: what the bound is for
		most    float64
	}{
		{"hit", in, one(getOf("/item/hot")), "200", 4000, 1, 0},
		{"hit with gzip", in, one(getOf("/item/big", "Accept-Encoding: gzip")), "200", 4000, 1, 0},
		{"304", in, one(getOf("/item/hot", "If-None-Match: "+etag)), "304", 4000, 1, 0},
		{"many-read of 100 from memory, per record", in, one(getOf(many)), "200", 400, 100, 5.5},
		{"miss, kept", in, func(n int) []byte { return []byte(getOf("/item/" + strconv.Itoa(1000+n))) }, "200", 4000, 1, 18},
		{"miss, memory full", small, func(n int) []byte { return []byte(getOf("/item/" + strconv.Itoa(n))) }, "200", fill, 1, 14},
		{"batch of 100, per item", in, items("/batch_process"), "200", 400, 100, 0.2},
		{"batch of 100 with lifetimes, per item", in, items("/lasting"), "200", 400, 100, 0.25},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.on.allocations(t, c.request, c.status, c.times) / c.parts
			t.Logf("%.3f allocations", got)
			// What the program's clocks and pings allocate meanwhile comes on top, the more the
			// longer a loaded machine takes. One allocation for each request would show.
			const background = 0.5
			if got > c.most+background/c.parts {
				t.Errorf("%.2f allocations, want %v at most", got, c.most)
			}
		})
	}
}

// inner is the program in this process, and one connection to it.
type inner struct {
	*launch.Instance
	conn net.Conn
	buf  []byte
}

func startHere(t *testing.T, redis *testkit.RedisServer, env ...string) *inner {
	t.Helper()
	config := launch.Demo(t) + "\n[[batch]]\npath = \"/lasting\"\nresource = \"item\"\nttl = \"1h\"\n"
	in := launch.Program{
		Config: config, Public: launch.Port, Here: true,
		Env: append([]string{"HEARTH_SERVER_DRAIN=0s", "HEARTH_REDIS_URL=" + redis.URL()}, env...),
	}.Ready(t)
	in.AwaitReady()
	conn, err := net.Dial("tcp", in.Public)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &inner{Instance: in, conn: conn, buf: make([]byte, 64<<10)}
}

// allocations is how often everything in this process has allocated for each of so many
// requests. Making the requests is not counted, and the client makes none.
func (in *inner) allocations(t *testing.T, request func(n int) []byte, status string, times int) float64 {
	requests := make([][]byte, times)
	for n := range requests {
		requests[n] = request(n)
	}
	wanted := []byte("HTTP/1.1 " + status)
	half := times / 2 // pools and buffers are filled by the first half
	part := (times - half) / parts
	least := math.Inf(1)
	var before, after runtime.MemStats
	for n, r := range requests {
		if n >= half && (n-half)%part == 0 {
			runtime.ReadMemStats(&after)
			if n > half {
				least = min(least, float64(after.Mallocs-before.Mallocs)/float64(part))
			}
			before = after
		}
		if err := in.ask(r); err != nil || !bytes.HasPrefix(in.buf, wanted) {
			t.Fatalf("request %d: %v, %.100q", n, err, in.buf)
		}
	}
	runtime.ReadMemStats(&after)
	return min(least, float64(after.Mallocs-before.Mallocs)/float64(part))
}

// parts are into how many the requests that count are divided: what the program does each
// second by itself, such as reading its own numbers, falls into one of them or two, and the
// part with the fewest allocations tells what requests need.
const parts = 4

var headerEnd, lengthField = []byte("\r\n\r\n"), []byte("Content-Length: ")

// ask sends a request and reads the whole answer into buf. It allocates nothing.
func (in *inner) ask(request []byte) error {
	if _, err := in.conn.Write(request); err != nil {
		return err
	}
	for n, end := 0, -1; end < 0 || n < end; {
		got, err := in.conn.Read(in.buf[n:])
		if err != nil {
			return err
		}
		n += got
		if head := bytes.Index(in.buf[:n], headerEnd); head >= 0 && end < 0 {
			end = head + len(headerEnd)
			if _, field, found := bytes.Cut(in.buf[:head], lengthField); found {
				length := 0
				for i := 0; i < len(field) && field[i]-'0' < 10; i++ {
					length = 10*length + int(field[i]-'0')
				}
				end += length
			}
		}
	}
	return nil
}

func (in *inner) post(t *testing.T, path string, body []byte) {
	t.Helper()
	if r := in.Ask(http.MethodPost, path, string(body), "Content-Type: application/json"); r.Code != http.StatusOK {
		t.Fatalf("POST %s is answered %s", path, r)
	}
}

// warm brings a record into memory, and returns its validator.
func (in *inner) warm(t *testing.T, path string) (etag string) {
	t.Helper()
	testkit.Eventually(t, 10*time.Second, path+" is in memory", func() bool { return in.Get(path).FromMemory() })
	return in.Get(path).Header.Get("ETag")
}

func getOf(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

func postOf(path string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// itemsFrom is the body of a batch of n items.
func itemsFrom(start, n int) []byte {
	var body bytes.Buffer
	for i := range n {
		fmt.Fprintf(&body, `,{"id":%d,"name":"item number %d","price":17.50,"tags":["a","b"]}`, start+i, start+i)
	}
	body.WriteByte(']')
	body.Bytes()[0] = '['
	return body.Bytes()
}
