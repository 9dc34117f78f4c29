package cache

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// TestVersionsAreRead: what is one, whose it is, and what is none.
func TestVersionsAreRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t, openFile(t), nil)
	one, other, several, any := d.NewVersion("a"), d.NewVersion("b"), d.NewVersion("b", "c", "d", "a"), d.NewVersion("b", "c", "d", "e", "f")
	f := func(text string, concerns, ok bool) {
		t.Helper()
		before := d.store.Now()
		since, got := d.SinceOf([]byte(text), "a")
		if got != ok || (since > 0) != concerns || since > d.store.Now() || !strings.Contains(text, one) && concerns && since < before {
			t.Errorf("%q: since %d (now %d), ok %v; want it to concern %v, ok %v", text, since, before, got, concerns, ok)
		}
	}
	f("", false, true)
	f(" , ,", false, true)
	f(one, true, true)
	f(other, false, true)
	f(several, true, true)
	f(any, true, true)
	f(d.NewVersion(), true, true)
	f(" "+other+" ,\t"+one+",", true, true)
	f(strings.Repeat(other+",", 16), false, true)
	f(strings.Repeat(other+",", 17), false, false)
	for _, garbage := range []string{"x", one + "A", one[:len(one)-1], one + "=", "B" + one[1:], "Ag" + one[2:], "AQ" + strings.Repeat("_", 30), strings.Repeat("A", 5000), `"` + one + `"`, "W/" + one, one + ";" + other, "\x00", one[:9] + "\n" + one[9:]} {
		f(garbage, false, false)
		f(one+","+garbage, false, false)
	}
	if len(several) > 80 {
		t.Errorf("a version has %d characters", len(several))
	}
	if strings.Trim(one+several+any, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("versions %q %q %q", one, several, any)
	}
}

// TestAVersionIsFirstSeenOnce, until others have taken its place.
func TestAVersionIsFirstSeenOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, openFile(t), nil)
	old, later := d.NewVersion("a"), d.NewVersion("a")
	first, _ := d.SinceOf([]byte(old), "a")
	second, _ := d.SinceOf([]byte(old+","+later), "a")
	if again, _ := d.SinceOf([]byte(old), "a"); again != first || second <= first {
		t.Errorf("first seen at %d, then %d; with a later one %d", first, again, second)
	}
	if both, _ := d.SinceOf([]byte(later+","+old), "a"); both != second {
		t.Errorf("of two the newest counts, %d, not %d", second, both)
	}
	name := func(n uint64) (name [versionName]byte) {
		binary.LittleEndian.PutUint64(name[:], n)
		return name
	}
	stripe, set := versionPlace(name(0))
	v, clock := &versions{}, int64(0)
	see := func(n uint64) int64 { clock++; return v.seen(name(n), clock) }
	see(0)
	for n, met := uint64(1), 0; met < 4; n++ {
		if a, b := versionPlace(name(n)); a == stripe && b == set {
			if at := see(0); at != 1 {
				t.Fatalf("beside %d others it was first seen at %d", met, at)
			}
			see(n)
			met++
		}
	}
	if at := see(0); at != clock {
		t.Errorf("five versions in a set of four are all known")
	}
}

// TestReadYourWritesElsewhere: on an instance that hears of no change its memory is old, and a
// version is what makes it look.
func TestReadYourWritesElsewhere(t *testing.T) {
	srv := testkit.Redis(t)
	writer := newDesk(t, openRedis(t, srv), newLedger("1", `{"v":1}`))
	reader := newDesk(t, openRedis(t, srv, func(c *setup) { c.hears = func(string) bool { return false } }), writer.book)
	reader.r.TTL.Hot = testLives.Cold
	key := []byte(writer.key("1"))
	reader.warm("1", `{"v":1}`)
	for v := 2; v < 5; v++ {
		row := fmt.Sprintf(`{"v":%d}`, v)
		writer.mustPut("1", row)
		version := []byte(writer.NewVersion(writer.key("1")))
		if got := reader.memory("1"); got == row {
			t.Fatalf("memory has heard of %s", got)
		}
		loads := writer.book.loads.Load()
		since, ok := reader.SinceOf(version, string(key))
		if !ok || since == 0 {
			t.Fatalf("version %q: %d, %v", version, since, ok)
		}
		reader.wantFresh("1", Demand{Since: since}, row, TierRedis)
		reader.wantMemory("1", row)
		testkit.Eventually(t, patience, "memory answers", func() bool {
			again, _ := reader.SinceOf(version, string(key))
			a, err := reader.fresh("1", Demand{Since: again})
			return err == nil && again == since && a.Tier == TierMemory && string(a.Data()) == row
		})
		reader.wantLoads(loads)
		here, _ := writer.SinceOf(version, string(key))
		if a, err := writer.fresh("1", Demand{Since: here}); err != nil || string(a.Data()) != row {
			t.Errorf("where it was written: %v, %v", a, err)
		}
	}
}

// TestAReadFromBeforeTheVersionDoesNotCount: it is on the wire when the version is first seen, and
// its reply is from before the write.
func TestAReadFromBeforeTheVersionDoesNotCount(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := newDesk(t, openStage(t, s, patientLink), newLedger("a", `{"v":0}`))
	key := d.key("a")
	s.set(key, `{"v":1}`)
	s.plan(key, holdAt(partExec))
	first := d.readBeside("a")
	s.awaitReads(t, key, 1)
	s.do(func() { s.mute = true })
	s.set(key, `{"v":2}`) // written elsewhere, and not reported
	since, _ := d.SinceOf([]byte(d.NewVersion(key)), key)
	second := d.freshBeside("a", Demand{Since: since})
	s.release()
	first.want(t, `{"v":1}`)
	second.want(t, `{"v":2}`)
	// The first reader may have kept its own last, which is asked for once more.
	testkit.Eventually(t, patience, "memory answers", func() bool {
		a, err := d.fresh("a", Demand{Since: since})
		if err != nil || string(a.Data()) != `{"v":2}` {
			t.Fatalf("a reader with the version got %s (%v)", a.Data(), err)
		}
		return a.Tier == TierMemory
	})
	d.wantLoads(0)
}
