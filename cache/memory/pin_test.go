package memory

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// pinned is a store whose freed segments are overwritten.
type pinned struct {
	*Store
	t  *testing.T
	sh *Shape
	o  *Owner
	n  int
}

func newPinned(t *testing.T, budget int64) *pinned {
	p := &pinned{Store: New(Config{Budget: budget, MissingShare: 0.05, LinkTimeout: time.Hour}), t: t, sh: NewShape("user")}
	p.poison = 0xDB
	p.o = p.NewOwner(true)
	return p
}

// keep keeps a record that nobody asks for.
func (p *pinned) keep(key string) {
	p.n++
	e := p.NewAnswer(p.sh, key, fmt.Appendf(nil, `"%s %0100d"`, key, p.n), 0)
	p.Keep(e, p.o, p.o.Epoch(), p.Now()+int64(time.Hour), Never)
}

// churn keeps others, more than there is room for in a megabyte.
func (p *pinned) churn() {
	for i := range 9_000 {
		p.keep(fmt.Sprint("other:", i%7_000))
	}
}

// TestAPinHoldsWhatWasFound drops a record that a reader is looking at, and fills memory
// anew. What the reader has found stays what it was until the pin is
// released.
func TestAPinHoldsWhatWasFound(t *testing.T) {
	t.Parallel()
	s := newPinned(t, 1<<20)
	s.keep("k")
	pin := s.Pin(7)
	v := s.Peek(s.sh, []byte("k"))
	_, data, _, _ := v.Parts(s.sh)
	want := bytes.Clone(data)
	s.Drop("k", nil)
	s.churn()
	if s.Peek(s.sh, []byte("k")).Found() {
		t.Error("a record that was dropped is found")
	}
	if !bytes.Equal(data, want) {
		t.Errorf("under the pin, %q has become %q", want, data)
	}
	pin.Release()
}

// TestAPinHoldsThroughAResize makes the budget one for which records move to segments of
// another size, while a reader looks at one.
func TestAPinHoldsThroughAResize(t *testing.T) {
	t.Parallel()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // memory may be gone altogether
	for _, budget := range []int64{1 << 20, 2 << 20, 64 << 20, 512 << 20} {
		s := newPinned(t, 8<<20)
		s.keep("k")
		pin := s.Pin(0)
		_, data, _, _ := s.Peek(s.sh, []byte("k")).Parts(s.sh)
		want := bytes.Clone(data)
		s.Resize(budget, 0.05)
		for range 4 { // what nobody refers to is collected, and its clean-up runs
			runtime.GC()
			runtime.Gosched()
		}
		s.churn()
		func() {
			defer func() {
				if fault := recover(); fault != nil {
					t.Errorf("resized to %d, what the reader looks at is gone: %v", budget, fault)
				}
			}()
			if !bytes.Equal(data, want) {
				t.Errorf("resized to %d, under the pin %q has become %q", budget, want, data)
			}
		}()
		pin.Release()
	}
}

// TestAHeldPinDoesNotEmptyMemory: a reader that is stopped under its pin, as every thread is
// at times, keeps segments from being used again. Memory must not be emptied in search of
// others.
func TestAHeldPinDoesNotEmptyMemory(t *testing.T) {
	t.Parallel()
	f := func(name string, change func(s *pinned)) {
		s := newPinned(t, 1<<20)
		s.churn()
		before := s.Sizes()
		pin := s.Pin(0)
		change(s)
		if after := s.Sizes(); after.Entries < before.Entries*3/4 || after.Bytes > 1<<20 {
			t.Errorf("%s: %d of %d records are left in %d bytes", name, after.Entries, before.Entries, after.Bytes)
		}
		pin.Release()
		s.churn()
		if after := s.Sizes(); after.Entries < before.Entries*3/4 {
			t.Errorf("%s, and some time after it: %d of %d records are left", name, after.Entries, before.Entries)
		}
	}
	f("new records", func(s *pinned) {
		for i := range 500 {
			s.keep(fmt.Sprint("new:", i))
		}
	})
	f("many of them", func(s *pinned) {
		for i := range 10_000 {
			s.keep(fmt.Sprint("new:", i))
		}
	})
	f("a large one", func(s *pinned) {
		e := s.NewAnswer(s.sh, "large", []byte(`"`+babble[:10_000]+`"`), 0)
		s.Keep(e, s.o, s.o.Epoch(), s.Now()+int64(time.Hour), Never)
	})
	f("a budget that is a little smaller", func(s *pinned) { s.Resize(1_000_000, 0.05) })
}
