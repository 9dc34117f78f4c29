package main

import (
	"fmt"
	"time"

	"hearth/cache/memory"
)

// store is the memory tier itself, asked as a request asks it. Keys' hashes differ from
// process to process, so its ratios differ a little from run to run.
type store struct {
	*memory.Store
	shape *memory.Shape
	owner *memory.Owner
	names [][]byte
	data  []byte
}

// recordBytes is the length of a record's data.
const recordBytes = 100

// newStore returns a store with a budget for that many records, which it finds by filling
// others: what a record takes beside its bytes is the store's own affair.
func newStore(capacity, keys int) policy {
	s := &store{shape: memory.NewShape("user"), data: fmt.Appendf(nil, `"%0*d"`, recordBytes-2, 0)}
	for i := range keys {
		s.names = append(s.names, fmt.Appendf(nil, "user:%09d", i))
	}
	budget := int64(200 * capacity)
	for range 6 {
		s.open(budget)
		for i := range capacity * 2 {
			s.keep(fmt.Sprintf("user:%09d", i))
		}
		budget = budget * int64(capacity) / s.Sizes().Entries
	}
	s.open(budget)
	return s
}

func (s *store) open(budget int64) {
	s.Store = memory.New(memory.Config{Budget: budget, LinkTimeout: time.Hour})
	s.owner = s.NewOwner(true)
}

func (s *store) keep(key string) {
	s.Keep(s.NewKept(s.shape, key, s.data, 0), s.owner, s.owner.Epoch(), memory.Never, memory.Never)
}

func (s *store) request(key uint32) bool {
	name := s.names[key]
	pin := s.Pin(0)
	v, _ := s.Look(s.shape, name, time.Now())
	pin.Release()
	if v.Found() {
		return true
	}
	if s.Admits(string(name)) {
		s.keep(string(name))
	}
	return false
}
