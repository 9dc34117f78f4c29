package memory

import (
	"strconv"
	"testing"
)

// TestAWalkMeetsWhatIsMoved: segments are cleared, and their records copied, while a walk is
// under way. It meets each of them all the same.
func TestAWalkMeetsWhatIsMoved(t *testing.T) {
	t.Parallel()
	tb, sh := newTableOf(1<<20), NewShape("")
	const records = 3000
	for n := range records {
		tb.put(newRecord(sh, "k"+strconv.Itoa(n), `"some data"`))
	}
	p, met, cleared := tb.now.Load().all[0], map[string]bool{}, 0
	before := len(p.all())
	p.walk(func(s *segment, from int) bool {
		p.eachIn(s, from, func(r *record, _ uint64, _ int, _ uint64) bool {
			met[string(r.key())] = true
			return true
		})
		for range 2 {
			if cleared < 3*before && len(p.queue) > 0 {
				for _, one := range p.queue { // all are worth their place
					p.eachIn(one, one.from, func(r *record, _ uint64, _ int, _ uint64) bool { r.touch(); return true })
				}
				p.clearOne(false)
				cleared++
			}
		}
		return true
	})
	if len(met) != records || cleared == 0 {
		t.Errorf("%d of %d records were met while %d of %d segments were cleared", len(met), records, cleared, before)
	}
	if _, n := tb.sizes(); n != records {
		t.Errorf("%d of %d records are left", n, records)
	}
	tb.check(t, 1<<20)
}
