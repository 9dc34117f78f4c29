package app

import (
	"os"
	"path"
	"strconv"
	"strings"

	"hearth/internal/budget"
	"hearth/internal/config"
	"hearth/internal/limit"
)

// budgets are of the memory that is taken beside the entries, by all requests
// together. They live as long as the process; a reload makes them another size.
type budgets struct {
	// subjects is for the subjects of limits that are remembered, counts for their
	// counts where this process counts. counting is what counts there.
	subjects *budget.Budget
	counts   *budget.Budget
	counting *limit.LocalStore
	// answers is for large answers on their way that memory does not keep.
	answers *budget.Budget
	// bodies is for what requests bring.
	bodies *budget.Budget
}

// newBudgets returns budgets of the size that the configuration says.
func newBudgets(cfg *config.Config) *budgets {
	b := &budgets{subjects: budget.New(0), counts: budget.New(0), answers: budget.New(0), bodies: budget.New(0)}
	b.counting = limit.NewLocalStore(b.counts)
	b.resize(cfg)
	return b
}

const (
	// subjectShare is the part of memory.budget that the limits' subjects may take
	// beside it, and again that their counts may.
	subjectShare = 32
	// leastSubjects is for small budgets: some thousands of subjects. The others are
	// for large ones, of which a share would be more than clients that invent subjects
	// should be given: 80,000 that are at work at a time, and a million that are
	// counted in one window.
	leastSubjects = 512 << 10
	mostSubjects  = 32 << 20
	mostCounts    = 64 << 20
	// wireShare is the part of memory.budget that large answers on their way may
	// take beside it, and again that bodies of requests may; wireBodies is how many
	// of the largest bodies it has to be good for, however small the budget is.
	wireShare, wireBodies = 4, 4
)

// resize makes them what the configuration says.
func (b *budgets) resize(cfg *config.Config) {
	all := budgetOf(cfg)
	// The two of limits grow with the budget, but not beyond what is of use.
	share := max(all/subjectShare, leastSubjects)
	b.subjects.Resize(min(share, mostSubjects))
	b.counts.Resize(min(share, mostCounts))
	// A body of the largest size has to be possible on the smallest machine.
	wire := max(all/wireShare, wireBodies*int64(cfg.Server.MaxBody))
	b.answers.Resize(wire)
	b.bodies.Resize(wire)
}

// limitBytes is what is taken of both budgets of limits, and how large they are.
func (b *budgets) limitBytes() (taken, size int64) {
	return b.subjects.Taken() + b.counts.Taken(), b.subjects.Size() + b.counts.Size()
}

// fallbackBudget serves where neither a limit nor the machine's size is known.
const fallbackBudget = 256 << 20

// budgetOf is memory.budget in bytes.
func budgetOf(cfg *config.Config) int64 {
	if cfg.Memory.Budget != 0 {
		return int64(cfg.Memory.Budget)
	}
	return autoBudget("/")
}

// autoBudget is what memory.budget = "auto" means, in bytes: 45 % of the
// memory limit, for connections, answers on their way and large values lie on the
// heap, which the collector lets grow to twice what lives in it;
// 25 % of the machine's memory where there is no limit.
func autoBudget(root string) int64 {
	if limit := memoryLimit(root); limit > 0 {
		return limit / 100 * 45
	}
	text, err := os.ReadFile(path.Join(root, "/proc/meminfo"))
	if err != nil {
		return fallbackBudget
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			if err == nil && n > 0 {
				return n * 1024 / 4
			}
		}
	}
	return fallbackBudget
}

// memoryLimit is the smallest limit of the process' control group and those
// around it (cgroup v2), 0 if there is none. A service's own group is where
// systemd writes MemoryMax.
func memoryLimit(root string) int64 {
	text, err := os.ReadFile(path.Join(root, "/proc/self/cgroup"))
	if err != nil {
		return 0
	}
	var group string
	for line := range strings.Lines(string(text)) {
		if g, ok := strings.CutPrefix(line, "0::"); ok {
			group = strings.TrimSpace(g)
		}
	}
	var limit int64
	// Each group may have a limit, and the smallest of them holds.
	for ; ; group = path.Dir(group) {
		text, err := os.ReadFile(path.Join(root, "/sys/fs/cgroup", group, "memory.max"))
		if err == nil { // no number means "max"
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err == nil && n > 0 && (limit == 0 || n < limit) {
				limit = n
			}
		}
		if group == "/" || group == "." || group == "" {
			return limit
		}
	}
}
