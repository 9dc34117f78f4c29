package app

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAutoBudget(t *testing.T) {
	const meminfo = "MemTotal:       8000000 kB\nMemFree: 1 kB\n"
	f := func(name string, files map[string]string, want int64) {
		t.Helper()
		root := t.TempDir()
		for file, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := autoBudget(root); got != want {
			t.Errorf("%s: %d bytes, want %d", name, got, want)
		}
	}
	f("nothing known", nil, fallbackBudget)
	f("no limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/memory.max": "max\n"}, 8000000*1024/4)
	f("the service's limit", map[string]string{
		"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/hearth.service\n",
		"sys/fs/cgroup/system.slice/hearth.service/memory.max": "1000000\n",
	}, 450000)
	f("a smaller limit around it", map[string]string{
		"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/hearth.service\n",
		"sys/fs/cgroup/system.slice/hearth.service/memory.max": "1000000\n", "sys/fs/cgroup/system.slice/memory.max": "500000\n",
	}, 225000)
	f("the container's limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2000000\n"}, 900000)
}
