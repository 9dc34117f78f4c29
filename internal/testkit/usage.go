package testkit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What the kernel says of a process, read from /proc: nothing that a server believes of
// its own use is in it, and asking costs the server nothing.

// Tick is the unit of /proc/PID/stat; USER_HZ is 100 on all of Linux.
const Tick = 10 * time.Millisecond

// CPUTime is the time, user and system, that the process and those it forked have
// used so far, all threads together.
func (p *Process) CPUTime() (time.Duration, error) {
	used, err := cpuTime(p.pid)
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of %s: %w", p.name, err)
	}
	return used, nil
}

func cpuTime(pid int) (time.Duration, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	sum := time.Duration(0)
	for _, text := range fields[11:13] { // user and system
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * Tick
	}
	for _, child := range childrenOf(pid) {
		used, err := cpuTime(child)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// Resident is the memory of the process itself that is in RAM, in bytes.
func (p *Process) Resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, fmt.Errorf("reading the resident memory of %s: %w", p.name, err)
	}
	_, line, _ := strings.Cut(string(text), "\nVmRSS:")
	var kb int64
	if _, err := fmt.Sscan(line, &kb); err != nil {
		return 0, fmt.Errorf("reading the resident memory of %s: no VmRSS in %q", p.name, text)
	}
	return kb << 10, nil
}

// Processors returns the first n processors that this program may use, nil when there
// are fewer.
func Processors(n int) (found []int) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() < n {
		return nil
	}
	for i := 0; len(found) < n; i++ {
		if set.IsSet(i) {
			found = append(found, i)
		}
	}
	return found
}

// stat returns the fields of /proc/PID/stat from the state on.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The name in brackets may hold anything, thus the last bracket counts.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return nil, fmt.Errorf("%q is no line of stat", text)
	}
	return fields, nil
}

// state is the letter that the kernel gives a process: 'T' is stopped, 'Z' ended
// but not reaped, 0 gone.
func state(pid int) byte {
	fields, err := stat(pid)
	if err != nil {
		return 0
	}
	return fields[0][0]
}

// childrenOf returns the numbers of what a process has forked and not reaped.
func childrenOf(pid int) (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		list, _ := os.ReadFile(task)
		for field := range strings.FieldsSeq(string(list)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}
