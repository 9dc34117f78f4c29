package test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// itemsOfRedis are records that are in Redis and nowhere else: memory is all that there is of
// them in the instance.
const itemsOfRedis = `
[server]
drain = "0s"
[[resource]]
name = "item"
path = "/item/{id:int}"
key = "item:{id}"
envelope = "item"
`

// itemOf is the record with an id. It tells its id, so that one is not taken for another.
func itemOf(id int) string {
	return fmt.Sprintf(`{"id":%d,"text":"%s"}`, id, strings.Repeat(strconv.Itoa(id%10), 60+id%97))
}

// redisWithItems is a Redis with so many of them.
func redisWithItems(tb testing.TB, n int) *testkit.RedisServer {
	tb.Helper()
	redis := testkit.Redis(tb)
	c := testkit.DialRedis(tb, redis.Addr())
	const atATime = 2_000
	for from := 0; from < n; from += atATime {
		set := []string{"MSET"}
		for id := from; id < min(from+atATime, n); id++ {
			set = append(set, "item:"+strconv.Itoa(id), itemOf(id))
		}
		c.Do(set...)
	}
	return redis
}

// readers are connections that read records, many at a time on each, and check each.
type readers struct {
	asked  atomic.Int64
	failed atomic.Pointer[string] // the first answer that is not the record
}

// read asks for the records that next says, until it says less than 0.
func (r *readers) read(in *launch.Instance, next func(rnd *rand.Rand) int) {
	c, err := in.Dial()
	if err != nil {
		r.fail("connecting: %v", err)
		return
	}
	defer func() { _ = c.Close() }()
	rnd := rand.New(rand.NewPCG(1, uint64(rand.Int())))
	for more := true; more; {
		var ask bytes.Buffer
		var ids []int
		for range 32 {
			id := next(rnd)
			if more = id >= 0; !more {
				break
			}
			ids = append(ids, id)
			fmt.Fprintf(&ask, "GET /item/%d HTTP/1.1\r\nHost: localhost\r\n\r\n", id)
		}
		if _, err := io.Copy(c, &ask); err != nil {
			r.fail("asking: %v", err)
			return
		}
		for _, id := range ids {
			if err := c.Response.Read(c.In); err != nil {
				r.fail("reading: %v", err)
				return
			}
			if body := string(c.Response.Body()); c.Response.StatusCode() != http.StatusOK || body != `{"item":`+itemOf(id)+`,"source":"cache"}` {
				r.fail("item %d: %d %.200s", id, c.Response.StatusCode(), body)
				return
			}
			r.asked.Add(1)
		}
	}
}

func (r *readers) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.failed.CompareAndSwap(nil, &text)
}

func (r *readers) check(tb testing.TB) {
	tb.Helper()
	if text := r.failed.Load(); text != nil {
		tb.Fatalf("after %d answers: %s", r.asked.Load(), *text)
	}
}

// holds checks what an instance says of its memory against its budget.
func holds(tb testing.TB, in *launch.Instance, budget int64) (taken int64) {
	tb.Helper()
	taken = int64(in.Metric("hearth_memory_bytes"))
	if says := int64(in.Metric("hearth_memory_budget_bytes")); says != budget || taken > budget {
		tb.Errorf("memory takes %d bytes of %d, want %d at most", taken, says, budget)
	}
	return taken
}

// TestMemoryIsBounded reads many more records than memory has room for: each answer is
// right, memory becomes full and no fuller, and the process takes as much of the machine
// as that and what it needs for itself. The long form reads millions, of the program as
// it is shipped: the race detector's own memory says nothing.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	n, budget := 9_000, int64(1<<20)
	if testkit.Long() {
		n, budget = 2_000_000, 64<<20
	}
	redis := redisWithItems(t, n)
	p := launch.Program{Config: itemsOfRedis, Env: []string{"HEARTH_REDIS_URL=" + redis.URL(), fmt.Sprintf("HEARTH_MEMORY_BUDGET=%d", budget)}}
	if testkit.Long() {
		p.Path = launch.Build(t, launch.Root(t))
	}
	in := p.Ready(t)
	var r readers
	all := func() {
		var clients sync.WaitGroup
		var last atomic.Int64
		for range 4 {
			clients.Go(func() {
				r.read(in, func(*rand.Rand) int {
					if id := int(last.Add(1)); id <= n {
						return id - 1
					}
					return -1
				})
			})
		}
		clients.Wait()
		r.check(t)
	}
	all()
	full := holds(t, in, budget)
	if share := budget * 95 / 100; full < share*95/100 { // missing records have the rest
		t.Errorf("after %d records memory takes %d bytes of the %d that it has for them", n, full, share)
	}
	if each := float64(full) / in.Metric("hearth_memory_entries"); each < 140 || each > 260 {
		t.Errorf("memory says that it takes %.0f bytes for each record of 130 to 230", each)
	}
	resident, err := in.Process().Resident()
	must(t, err)
	t.Logf("%d bytes are resident with a budget of %d, after %d records", resident, budget, n)
	if !testkit.Long() {
		return
	}
	all()
	again, err := in.Process().Resident()
	must(t, err)
	t.Logf("%d bytes are resident after the same again", again)
	// Connections, the runtime and what it has not given back yet.
	if const64 := int64(64 << 20); resident > budget+const64 || again > resident+const64/4 {
		t.Errorf("%d, and then %d bytes are resident with a budget of %d", resident, again, budget)
	}
	if resident < full {
		t.Errorf("memory says that it takes %d bytes, and %d are resident", full, resident)
	}
}

// TestTheBudgetChangesUnderLoad makes the budget larger and smaller, by so much that
// records move to other segments, while they are read: each answer is right, and memory
// keeps to what it is told.
func TestTheBudgetChangesUnderLoad(t *testing.T) {
	t.Parallel()
	const n = 3_000
	changes := 5
	if testkit.Long() {
		changes = 400
	}
	redis := redisWithItems(t, n)
	budgeted := func(mib int) string { return fmt.Sprintf("%s[memory]\nbudget = \"%dMiB\"\n", itemsOfRedis, mib) }
	in := launch.Ready(t, budgeted(8), "HEARTH_REDIS_URL="+redis.URL())
	var r readers
	var clients sync.WaitGroup
	var over atomic.Bool
	for range 3 {
		clients.Go(func() {
			r.read(in, func(rnd *rand.Rand) int {
				if over.Load() {
					return -1
				}
				return rnd.IntN(n)
			})
		})
	}
	for i := range changes {
		mib := []int{1, 64, 2, 600, 8, 1, 16}[i%7]
		in.Configure(budgeted(mib))
		in.Reload("ok")
		was := r.asked.Load()
		await(t, "more records are read", func() bool { return r.asked.Load() > was+n/2 || r.failed.Load() != nil })
		if r.failed.Load() != nil {
			break
		}
		holds(t, in, int64(mib)<<20)
	}
	over.Store(true)
	clients.Wait()
	r.check(t)
}

// TestTheBudgetFollowsTheControlGroup starts an instance in what looks to it like a
// container with a memory limit.
func TestTheBudgetFollowsTheControlGroup(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Log("only root can show a process another control group; see TestAutoBudget for the rest")
		return
	}
	group := t.TempDir()
	const limit = 512 << 20
	write(t, filepath.Join(group, "memory.max"), strconv.Itoa(limit)+"\n")
	in := launch.Program{
		Config: launch.Demo(t), Env: []string{"HEARTH_MEMORY_BUDGET=auto"},
		Wrapper: []string{"unshare", "--mount", "--cgroup", "sh", "-c", `mount --bind "` + group + `" /sys/fs/cgroup && exec "$0" "$@"`},
	}.Ready(t)
	holds(t, in, limit/100*45)
}
