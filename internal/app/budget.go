package app

import (
	"os"
	"path"
	"strconv"
	"strings"

	"hearth/internal/config"
)

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
// memory limit, for the collector lets a heap grow to twice what lives in it;
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
