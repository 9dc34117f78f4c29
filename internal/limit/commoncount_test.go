package limit

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearth/internal/budget"
)

// spend takes permits one by one and tells how many it got.
func (s *LocalStore) spend(t *testing.T, subject string, rate Rate, times int) (got int) {
	t.Helper()
	for range times {
		g, err := s.TakePermits(t.Context(), keyPrefix+"{api:"+subject+"}", rate, rate.Count, 1)
		if err != nil {
			t.Fatal(err)
		}
		got += g.Permits
	}
	return got
}

// TestSubjectsWithoutRoomShareOneCount: together they get what one may, those who
// have a count keep it, and all is free when the window is over.
func TestSubjectsWithoutRoomShareOneCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, rate := budget.New(100*countBytes), Rate{10, time.Hour}
		m := NewLocalStore(r)
		wait(t.Context(), untilWindowEnds(time.Hour)+time.Second)
		for i := range 100 {
			if n := m.spend(t, fmt.Sprint("known ", i), rate, 3); n != 3 {
				t.Fatalf("subject %d was admitted %d times, want 3", i, n)
			}
		}
		flood := 0
		for i := range 100_000 {
			flood += m.spend(t, fmt.Sprint("flood ", i), rate, 1)
		}
		if flood != 10 {
			t.Errorf("%d of a flood were admitted, want 10", flood)
		}
		if n := m.spend(t, "known 50", rate, 20); n != 7 {
			t.Errorf("%d more of a known subject were admitted, want 7", n)
		}
		if n := m.spend(t, "", rate, 20); n != 10 {
			t.Errorf("%d requests that belong to no subject were admitted, want 10", n)
		}
		if most := r.Size() + 2*countBytes + 4*commonCells; r.Taken() > most {
			t.Errorf("%d bytes are taken, want at most %d", r.Taken(), most)
		}
		for range 2 { // the names of known subjects are kept for one window more
			wait(t.Context(), untilWindowEnds(time.Hour)+time.Second)
			m.expire()
		}
		if r.Taken() != 0 || len(m.windows) != 0 {
			t.Errorf("%d bytes in %d windows are taken though all are over", r.Taken(), len(m.windows))
		}
		if n := m.spend(t, "flood 1", rate, 20); n != 10 {
			t.Errorf("%d were admitted in the next window, want 10", n)
		}
	})
}

// hadInCommon is how many permits of the common count a subject may have had.
func (s *LocalStore) hadInCommon(t *testing.T, subject string, rate Rate) int {
	t.Helper()
	key := keyPrefix + "{api:" + subject + "}"
	limit, _ := splitKey(key)
	if c := s.windows[rate.Window.Milliseconds()].common[limit]; c != nil {
		return c.admittedTo(s.idOf(key))
	}
	return 0
}

// TestKnownSubjectsComeBack: a flood that is there when a window begins takes no
// room of those who came in the window before, as long as they come back.
func TestKnownSubjectsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, rate := budget.New(100*countBytes), Rate{10, time.Hour}
		m := NewLocalStore(r)
		wait(t.Context(), untilWindowEnds(time.Hour)+time.Second)
		known := func(i int) string { return fmt.Sprint("known ", i) }
		flood := func() {
			for i := range 1000 {
				m.spend(t, fmt.Sprint("flood ", time.Now().UnixNano(), " ", i), rate, 1)
			}
		}
		for i := range 60 {
			m.spend(t, known(i), rate, 3)
		}
		flood()
		for range 3 {
			wait(t.Context(), untilWindowEnds(time.Hour)+time.Millisecond)
			flood()
			for i := range 30 {
				had := m.hadInCommon(t, known(i), rate) // of its own, or of one that shares its cell
				if n := m.spend(t, known(i), rate, 20); n != 10-had {
					t.Fatalf("%d of known subject %d were admitted, want 10 less %d", n, i, had)
				}
			}
			if r.Taken() > r.Size()+4*commonCells+countBytes {
				t.Errorf("%d of %d bytes are taken", r.Taken(), r.Size())
			}
		}
		// Those who have not come lose their room in the course of a window.
		wait(t.Context(), untilWindowEnds(time.Hour)+time.Millisecond)
		for i := range 70 {
			m.spend(t, fmt.Sprint("others ", i), rate, 2)
		}
		own := func(subject string) bool { // one that shares a count finds it used up
			return m.spend(t, subject, rate, 1) == 1
		}
		if flood(); own("early") {
			t.Error("a newcomer had a count of its own when the window had just begun")
		}
		wait(t.Context(), 30*time.Minute)
		flood()
		left := 0
		for i := range 30 {
			if own(known(i)) {
				left++
			}
		}
		if left != 15 {
			t.Errorf("%d of 30 known subjects still had room in the middle of a window, want half of them", left)
		}
		wait(t.Context(), 3*time.Hour)
		m.expire()
		wait(t.Context(), time.Hour)
		m.expire()
		if r.Taken() != 0 {
			t.Errorf("%d bytes are taken though nobody comes any more", r.Taken())
		}
	})
}

// TestWhatWasSharedCountsLater: room comes back, and who was admitted before gets
// no more than the rest of the rate.
func TestWhatWasSharedCountsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, rate := budget.New(0), Rate{10, time.Hour}
		m := NewLocalStore(r)
		wait(t.Context(), untilWindowEnds(time.Hour)+time.Second)
		if n := m.spend(t, "x", rate, 4) + m.spend(t, "y", rate, 3); n != 7 {
			t.Fatalf("%d were admitted by the shared count, want 7", n)
		}
		r.Resize(1 << 20)
		if n := m.spend(t, "x", rate, 20); n != 6 {
			t.Errorf("%d more were admitted, want 6", n)
		}
		if n := m.spend(t, "z", rate, 20); n != 10 {
			t.Errorf("%d of a subject that has shared nothing were admitted, want 10", n)
		}
		g, err := m.TakePermits(t.Context(), keyPrefix+"{other:x}", rate, 10, 1)
		if err != nil || g.Permits != 1 || g.Remaining != 9 {
			t.Errorf("another limit: got %+v, %v", g, err)
		}
	})
}

// subjectCount counts the buckets of a limiter.
func (l *Limiter) subjectCount() (n int) {
	for i := range l.subjects.shards {
		l.subjects.shards[i].mu.Lock()
		n += len(l.subjects.shards[i].buckets)
		l.subjects.shards[i].mu.Unlock()
	}
	return n
}

// TestAFloodOfSubjects: a limiter remembers as many as there is room for, nobody
// gets more than the rate by being forgotten, and who has permits is not.
func TestAFloodOfSubjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		subjects, counts := budget.New(1000*bucketBytes), budget.New(20_000*countBytes)
		l := fleet(t, 1, Config{Name: "api", Rate: Rate{100, time.Hour}, Budget: subjects, Local: NewLocalStore(counts)})[0]
		wait(t.Context(), untilWindowEnds(time.Hour)+time.Second)
		take := func(subject string, times int) (admitted int) {
			for range times {
				if l.Take(t.Context(), []byte(subject)).Outcome == Admitted {
					admitted++
				}
			}
			return admitted
		}
		if n := take("known", 60); n != 60 {
			t.Fatalf("%d were admitted, want 60", n)
		}
		flood := 0
		for i := range 30_000 {
			flood += take(fmt.Sprint("flood ", i), 1)
		}
		if n := l.subjectCount(); n > 1000 || subjects.Taken() != int64(n)*bucketBytes {
			t.Errorf("%d subjects are remembered and %d bytes taken, want at most 1000 and %d each", n, subjects.Taken(), bucketBytes)
		}
		if flood < 19_999 || flood > 20_000+100 {
			t.Errorf("%d of a flood were admitted, want one for each that there was room for, and 100 for all others", flood)
		}
		if l.Common() < 9_000 {
			t.Errorf("%d questions were answered out of the shared count, want some 10,000", l.Common())
		}
		if n := take("known", 100); n > 40 || n < 30 { // some permits went with the bucket
			t.Errorf("%d more of a known subject were admitted, want at most 40", n)
		}
		if n := take("flood 7", 200); n > 99 {
			t.Errorf("%d more of a subject that was forgotten were admitted, want at most 99", n)
		}
		wait(t.Context(), 2*time.Hour+2*forgetEvery)
		synctest.Wait()
		if n := l.subjectCount(); n != 0 || subjects.Taken() != 0 || counts.Taken() != 0 {
			t.Errorf("%d subjects, %d and %d bytes are left when the window is over", n, subjects.Taken(), counts.Taken())
		}
		for i := range l.subjects.shards {
			if l.subjects.shards[i].most > 0 {
				t.Fatalf("a map of %d buckets was not made anew", l.subjects.shards[i].most)
			}
		}
	})
}

// TestAClosedLimiterTakesNoRoom, though requests may still ask it.
func TestAClosedLimiterTakesNoRoom(t *testing.T) {
	r := budget.New(1000 * bucketBytes)
	l := New(Config{Name: "api", Rate: Rate{5, time.Minute}, Budget: r})
	l.Open()
	l.Take(t.Context(), []byte("a"))
	if r.Taken() != bucketBytes {
		t.Errorf("%d bytes are taken for one subject", r.Taken())
	}
	l.Close()
	l.Take(t.Context(), []byte("b"))
	if r.Taken() != 0 {
		t.Errorf("%d bytes are taken by a limiter that is closed", r.Taken())
	}
}

// sharing is a store that has no count for anybody.
type sharing struct{ returned int }

func (s *sharing) TakePermits(context.Context, string, Rate, int, int) (Grant, error) {
	return Grant{Permits: 1, Window: 1, Left: time.Hour, Common: true}, nil
}

func (s *sharing) ReturnPermits(context.Context, string, Rate, int64, int) error {
	s.returned++
	return nil
}

// TestASharedTokenIsNotReturned: it would go to the subject's own count, which has
// not given it.
func TestASharedTokenIsNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sharing{}
		l := New(Config{Name: "api", Rate: Rate{5, time.Hour}, Store: store})
		l.Open()
		d := l.Take(t.Context(), []byte("a"))
		if d.Outcome != Admitted || d.Remaining != 0 {
			t.Errorf("got %+v, want an admission with nothing left", d)
		}
		d.Undo()
		l.noteHolder(l.subjects.bucketOf([]byte("a"), l.now()))
		wait(t.Context(), time.Second)
		l.Close()
		if store.returned != 0 {
			t.Errorf("%d permits were returned", store.returned)
		}
	})
}
