package metrics

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, the unit of times in /proc. The kernel's ABI
// fixes it at 100 on every architecture Go runs on.
const ticksPerSecond = 100

// process reads the numbers of this process from the kernel.
type process struct {
	dir     string  // /proc/self
	started float64 // seconds since 1970; 0 when unknown
}

// openProcess finds out when the process started, once: computed anew at each
// scrape the figure would jitter with the clock, and alerts compare it.
func openProcess() *process {
	p := &process{dir: "/proc/self"}
	fields := p.stat()
	var up unix.Timespec
	if fields == nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return p
	}
	ticks, err := strconv.ParseInt(string(fields[statStart]), 10, 64)
	if err != nil {
		return p
	}
	// The time since boot is asked from the clock and not taken from
	// /proc/stat, which a hardened unit may hide.
	age := time.Duration(up.Nano()) - time.Duration(ticks)*(time.Second/ticksPerSecond)
	p.started = seconds(uint64(time.Now().Add(-age).Truncate(time.Second / ticksPerSecond).UnixNano()))
	return p
}

// Fields of /proc/self/stat counted from the one after the command (proc(5)
// counts from 1 and has the state third).
const (
	statVirtual = 23 - 3
	statPages   = 24 - 3
	statStart   = 22 - 3
)

// stat splits /proc/self/stat behind the command, which may contain anything.
func (p *process) stat() [][]byte {
	text, err := os.ReadFile(filepath.Join(p.dir, "stat"))
	if err != nil {
		return nil
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= statPages {
		return nil
	}
	return fields
}

// families are written under the names that every Prometheus client uses. What
// cannot be read is left out: a zero would look like a measurement.
func (p *process) families() []family {
	var all []family
	add := func(name, help string, k kind, v float64) { all = append(all, single(name, help, k, v)) }

	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		// The same account as utime and stime of /proc, in microseconds
		// instead of ticks.
		add("process_cpu_seconds_total", "CPU time spent, user and system.", kindCounter,
			seconds(uint64(usage.Utime.Nano()+usage.Stime.Nano())))
	}
	if fields := p.stat(); fields != nil {
		if pages, err := strconv.ParseUint(string(fields[statPages]), 10, 64); err == nil {
			add("process_resident_memory_bytes", "Memory resident in RAM.", kindGauge, float64(pages)*float64(os.Getpagesize()))
		}
		if size, err := strconv.ParseUint(string(fields[statVirtual]), 10, 64); err == nil {
			add("process_virtual_memory_bytes", "Size of the address space.", kindGauge, float64(size))
		}
	}
	if names, err := os.ReadDir(filepath.Join(p.dir, "fd")); err == nil {
		// One of them is the directory being read.
		add("process_open_fds", "Open file descriptors.", kindGauge, float64(max(len(names)-1, 0)))
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		add("process_max_fds", "Most file descriptors the process may open.", kindGauge, float64(limit.Cur))
	}
	if p.started > 0 {
		add("process_start_time_seconds", "When the process started, in seconds since 1970.", kindGauge, p.started)
	}
	return all
}
