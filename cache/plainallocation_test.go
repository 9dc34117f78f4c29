//go:build !race

package cache

import (
	"context"
	"math"
	"strconv"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

// TestAllocationsOfARead holds what a read of Redis allocates, for a record that memory keeps
// and for one that it does not: rueidis' part, reply included, is counted with it.
func TestAllocationsOfARead(t *testing.T) {
	srv := testkit.Redis(t)
	c := openRedis(t, srv, patientLink)
	d := newDesk(t, c, newLedger())
	const reads = 4000
	keys := make([]string, reads)
	conn := srv.AdminConn()
	defer conn.Close()
	for i := range keys {
		keys[i] = d.key(strconv.Itoa(i))
		conn.Do("SET", keys[i], `{"id":1,"name":"somebody","city":"Shanghai"}`)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := source.Args{"1"}
	f := func(what string, admits bool, most float64, read func(key string) error) {
		t.Helper()
		c.admits = func(string) bool { return admits }
		n, got := 0, math.Inf(1)
		// The least of four parts: what runs beside the reads allocates, too.
		for range 4 {
			got = min(got, testing.AllocsPerRun(reads/16, func() {
				if err := read(keys[n%reads]); err != nil {
					t.Fatal(err)
				}
				n++
			}))
		}
		t.Logf("%s: %v allocations", what, got)
		if got > most {
			t.Errorf("%s allocates %v times, want %v at most", what, got, most)
		}
	}
	whole := func(key string) error { _, err := c.Read(ctx, d.r, key, args); return err }
	// The query, the answer, and of rueidis the reply.
	f("a read that is not kept", false, 3, whole)
	f("one read at once", false, 3, func(key string) error {
		if _, ok := c.ReadAtOnce(ctx, d.r, key); !ok {
			t.Errorf("%s is not answered at once", key)
		}
		return nil
	})
	f("a read that is kept", true, 17, whole)
}
