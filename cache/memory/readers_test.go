package memory

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// crowd is a store with keys that many goroutines read, write and drop. A body tells its
// key, its version, and a checksum of both and of what fills it: a reader that copies
// memory which is used for something else meanwhile sees that.
type crowd struct {
	s  *Store
	sh *Shape
	o  *Owner

	locks [64]sync.Mutex // of the flight shards
	keys  []crowdKey
	found atomic.Int64
}

type crowdKey struct {
	name    string
	version uint64        // of the latest that was kept; under the lock
	floor   atomic.Uint64 // nothing before it may be found by whoever begins now
}

func newCrowd(keys int, budget int64) *crowd {
	c := &crowd{sh: NewShape("user"), keys: make([]crowdKey, keys)}
	c.s = New(Config{Budget: budget, MissingShare: 0.1, LinkTimeout: time.Hour})
	c.s.poison = 0xDB // what is freed under a reader is seen by its checksum
	c.o = c.s.NewOwner(true)
	for i := range c.keys {
		c.keys[i].name = "key:" + strconv.Itoa(i)
	}
	return c
}

// seal is a body that proves itself.
func seal(key string, version uint64, size int) []byte {
	b := fmt.Appendf(nil, `"%s %d `, key, version)
	for fill := size - len(b) - 9; fill > 0; fill = size - len(b) - 9 {
		from := babble[version%1000:]
		b = append(b, from[:min(fill, len(from))]...)
	}
	return fmt.Appendf(b, `%08x"`, crc32.ChecksumIEEE(b))
}

// unseal checks a body and returns its version.
func unseal(key string, body []byte) (version uint64, err error) {
	if len(body) < 12 || !bytes.HasPrefix(body, []byte(`"`+key+" ")) {
		return 0, fmt.Errorf("%.40q is no body of %s", body, key)
	}
	sum := len(body) - 9
	if got, want := string(body[sum:]), fmt.Sprintf(`%08x"`, crc32.ChecksumIEEE(body[:sum])); got != want {
		return 0, fmt.Errorf("%.40q… of %d bytes is torn: checksum %s, want %s", body, len(body), got, want)
	}
	text := body[len(key)+2:]
	return strconv.ParseUint(string(text[:bytes.IndexByte(text, ' ')]), 10, 64)
}

func (c *crowd) lock(i int) (unlock func()) {
	mu := &c.locks[i%len(c.locks)]
	mu.Lock()
	return mu.Unlock
}

// write keeps the next version of a key, as a record or, rarely, as none.
func (c *crowd) write(rnd *rand.Rand, i, size int) {
	defer c.lock(i)()
	k := &c.keys[i]
	k.version++
	build := c.s.NewKept
	if size > gzipFrom && rnd.IntN(16) > 0 {
		build = c.s.NewAnswer // packing them all would take nearly all of the time
	}
	var e *Entry
	if rnd.IntN(20) == 0 {
		e = build(c.sh, k.name, Null, FlagMissing)
	} else {
		e = build(c.sh, k.name, seal(k.name, k.version, size), 0)
	}
	c.s.Keep(e, c.o, c.o.Epoch(), c.s.Now()+int64(time.Hour), Never)
	k.floor.Store(k.version)
}

// drop drops a key: nothing that was kept before may be found from now on.
func (c *crowd) drop(i int) {
	defer c.lock(i)()
	k := &c.keys[i]
	c.s.Drop(k.name, nil)
	k.floor.Store(k.version + 1)
	k.version++
}

// read copies an answer under a pin, as a connection does, and checks it afterwards.
func (c *crowd) read(stripe uint32, i int, buf []byte) ([]byte, error) {
	k := &c.keys[i]
	floor := k.floor.Load()
	buf = buf[:0]
	var tag [64]byte
	pin := c.s.Pin(stripe)
	v, _ := c.s.Look(c.sh, []byte(k.name), time.Now())
	if !v.Found() || v.Missing() {
		pin.Release()
		return buf, nil
	}
	head, data, tail, gzip := v.Parts(c.sh)
	buf = append(append(append(buf, head...), data...), tail...)
	sum := crc32.ChecksumIEEE(gzip)
	etag := v.AppendETag(tag[:0])
	e := v.Entry()
	pin.Release()
	c.found.Add(1)
	version, err := unseal(k.name, buf[len(head):len(buf)-len(tail)])
	switch {
	case err != nil:
		return buf, err
	case version < floor:
		return buf, fmt.Errorf("%s is found with version %d after %d was kept or dropped", k.name, version, floor)
	case !bytes.Equal(e.Body(), buf) || e.ETag() != string(etag) || crc32.ChecksumIEEE(e.Gzip()) != sum:
		return buf, fmt.Errorf("%s as an entry is another answer: %.60q %s, view %.60q %s", k.name, e.Body(), e.ETag(), buf, etag)
	}
	return buf, nil
}

// run lets readers meet everybody who changes memory, until the writers have written.
func (c *crowd) run(t *testing.T, writes int, sizes []int, budgets []int64) {
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	during := func(f func(rnd *rand.Rand, n int) error) {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(rand.Int())))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(rnd, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for stripe := range uint32(3) {
		buf := make([]byte, 0, 128<<10)
		during(func(rnd *rand.Rand, _ int) (err error) {
			buf, err = c.read(stripe, rnd.IntN(len(c.keys)), buf)
			return err
		})
	}
	during(func(rnd *rand.Rand, n int) error { // who looks at all, and who makes the budget another one
		seen := 0
		c.s.Each(func(v View) bool {
			e := v.Entry()
			seen++
			return e.Missing() || bytes.HasPrefix(e.Data(), []byte(`"`+e.key()+" "))
		})
		if n%8 == 7 {
			c.s.Resize(budgets[rnd.IntN(len(budgets))], 0.1)
		}
		_, err := c.read(63, rnd.IntN(len(c.keys)), nil)
		return err
	})
	for w := range 2 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(w)))
			for range writes / 2 {
				if i := rnd.IntN(len(c.keys)); rnd.IntN(4) == 0 {
					c.drop(i)
				} else {
					c.write(rnd, i, sizes[rnd.IntN(len(sizes))])
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	t.Logf("%d records were found", c.found.Load())
	if c.found.Load() == 0 {
		t.Error("no reader has found anything")
	}
	for i := range c.keys { // at rest
		if _, err := c.read(0, i, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestReadersMeetWriters lets readers copy what writers, droppers, the eviction and a
// changing budget take away meanwhile. None may see torn bytes, another key's, or older
// ones than were there when it began.
func TestReadersMeetWriters(t *testing.T) {
	t.Parallel()
	writes := 1_500
	if testkit.Long() {
		writes = 400_000
	}
	f := func(name string, keys int, sizes []int, budgets ...int64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newCrowd(keys, budgets[0]).run(t, writes/(1+sizes[0]/50), sizes, budgets)
		})
	}
	f("few keys", 8, []int{40, 100, 2000}, 1<<20)
	f("many keys under pressure", 20_000, []int{40, 100, 300, 3000}, 1<<20, 1<<20, 2<<20)
	f("large values", 300, []int{300, 20_000, 60_000, 70_000}, 8<<20, 8<<20, 16<<20)
}
