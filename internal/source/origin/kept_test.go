package origin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// TestWhatIsLeftIsNobodysAnswer: an origin sends a whole answer behind the one that was
// asked for, at once or a moment later. The next request gets its own, over another
// connection, and from then on none is used again.
func TestWhatIsLeftIsNobodysAnswer(t *testing.T) {
	t.Parallel()
	answer := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	f := func(name, behind string, apart bool, dials int64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dialled atomic.Int64
			var stray atomic.Bool
			k := newKept(4, &stray, func(context.Context) (net.Conn, error) {
				dialled.Add(1)
				ours, theirs := testkit.Pipe(t)
				go func() {
					in := bufio.NewReader(theirs)
					for {
						req, err := http.ReadRequest(in)
						if err != nil {
							return
						}
						text := answer(req.URL.Path)
						if !apart {
							text += behind
						}
						_, _ = io.WriteString(theirs, text)
						if apart {
							_, _ = io.WriteString(theirs, behind)
						}
					}
				}()
				return ours, nil
			})
			defer k.close()
			for i := range 20 {
				want := fmt.Sprintf("/%d", i)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://origin"+want, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := k.RoundTrip(req)
				if err != nil {
					t.Fatalf("%s: %v", want, err)
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(body) != want {
					t.Fatalf("%s: got %q, %v", want, body, err)
				}
				if apart && i == 0 && len(k.idle) > 0 { // else it came with the answer
					idle := k.idle[0].Conn
					testkit.Eventually(t, 10*time.Second, "what nobody has asked for is there", func() bool { _, is := listen(idle); return is })
				}
			}
			if n := dialled.Load(); n != dials || len(k.places) != 0 {
				t.Errorf("%d connections were dialled, want %d; %d places are taken", n, dials, len(k.places))
			}
		})
	}
	f("nothing", "", false, 1)
	f("in one piece", answer("stray"), false, 20)
	f("a moment later", answer("stray"), true, 20)
}
