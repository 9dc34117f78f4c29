package app

import (
	"hearth/internal/budget"
	"hearth/internal/config"
	"hearth/internal/limit"
)

// rooms is the memory that is taken beside the entries, by all requests together.
// It lives as long as the process; a reload makes it another size.
type rooms struct {
	subjects *budget.Budget // of limits, that are remembered
	counts   *budget.Budget // of limits, where this process counts
	counting *limit.Memory
	answers  *budget.Budget // on their way, and kept by no memory
	bodies   *budget.Budget // of requests
}

func newRooms(cfg *config.Config) *rooms {
	r := &rooms{subjects: budget.New(0), counts: budget.New(0), answers: budget.New(0), bodies: budget.New(0)}
	r.counting = limit.NewMemory(r.counts)
	r.resize(cfg)
	return r
}

const (
	// subjectShare is the part of memory.budget that the limits' subjects may take
	// beside it, and again that their counts may.
	subjectShare = 32
	// leastSubjects is for small budgets: some thousands of subjects. The others
	// are for large ones, where a share of the budget would be more than whoever
	// invents subjects should be given: 80,000 that are at work at a time, and a
	// million that are counted in one window.
	leastSubjects = 512 << 10
	mostSubjects  = 32 << 20
	mostCounts    = 64 << 20
	// wireShare is the part of memory.budget that large answers on their way may
	// take beside it, and again that bodies of requests may; wireBodies is how many
	// of the largest bodies it has to be good for, however small the budget is.
	wireShare, wireBodies = 4, 4
)

// resize makes the rooms what the configuration says.
func (r *rooms) resize(cfg *config.Config) {
	budget := budgetOf(cfg)
	share := max(budget/subjectShare, leastSubjects)
	r.subjects.Resize(min(share, mostSubjects))
	r.counts.Resize(min(share, mostCounts))
	wire := max(budget/wireShare, wireBodies*int64(cfg.Server.MaxBody))
	r.answers.Resize(wire)
	r.bodies.Resize(wire)
}

// limitBytes is what is taken of both rooms of limits, and how large they are.
func (r *rooms) limitBytes() (taken, size int64) {
	return r.subjects.Taken() + r.counts.Taken(), r.subjects.Size() + r.counts.Size()
}
