package budget_test

import (
	"sync"
	"testing"

	"hearth/internal/budget"
)

func TestBudget(t *testing.T) {
	r := budget.New(10)
	if !r.Take(6) || r.Take(5) || !r.Take(4) {
		t.Errorf("6, then not 5, then 4 of 10 bytes were to be taken; %d are", r.Taken())
	}
	r.Overdraw(3)
	r.Return(6)
	if r.Taken() != 7 || r.Refused() != 1 || r.Size() != 10 {
		t.Errorf("%d of %d bytes are taken after %d refusals, want 7 of 10 after one", r.Taken(), r.Size(), r.Refused())
	}
	r.Resize(5)
	if r.Take(1) {
		t.Error("a byte was taken of a budget that is overdrawn")
	}
	r.Return(7)
	if !r.Take(5) {
		t.Error("an unused budget refused what it has")
	}
	if r.TakeAlone(1) {
		t.Error("one more was taken of a budget that is used up")
	}
	r.Return(5)
	if r.Take(100) || !r.TakeAlone(100) || r.TakeAlone(1) {
		t.Error("what is larger than the budget is to be taken alone")
	}
}

// TestNobodyTakesMoreThanThereIs, however many try at once.
func TestNobodyTakesMoreThanThereIs(t *testing.T) {
	r := budget.New(1000)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if r.Take(7) {
					if r.Taken() > r.Size() {
						t.Errorf("%d of %d bytes are taken", r.Taken(), r.Size())
					}
					r.Return(7)
				}
			}
		})
	}
	all.Wait()
	if r.Taken() != 0 {
		t.Errorf("%d bytes are taken by nobody", r.Taken())
	}
}
