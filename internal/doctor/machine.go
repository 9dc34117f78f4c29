package doctor

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// MachineFacts are what the server's configuration asks of the machine. Root is the machine's
// file system, of which /proc and /sys are read.
type MachineFacts struct {
	Root        fs.FS
	Descriptors uint64 // that a process may have open: the limit that this one runs with
	Wanted      uint64 // that the server may need
	Budget      int64  // memory.budget, in bytes
}

// Machine judges the kernel that this runs on. What cannot be read, as on another system or in a
// container, is unknown.
func Machine(m MachineFacts) (f Findings) {
	const about, kernel = "this machine", "operations.md#the-kernel"
	f.judge(m.Descriptors >= m.Wanted, Finding{Level: Warning, About: about, Setting: "open files (ulimit -n)", Found: fmt.Sprintf("%d, and the server may need %d", m.Descriptors, m.Wanted),
		Page: "operations.md#descriptors", Change: "LimitNOFILE=1048576 in the unit (the package's unit has it), or lower server.max_in_flight", Why: "with none left, connections wait unanswered"})
	for _, s := range []struct {
		path, name string
		least      int64
		why        string
	}{
		{"proc/sys/net/core/somaxconn", "net.core.somaxconn", 4096, "a burst of connections, or a restart, overflows the queue, and clients try again a second later"},
		{"proc/sys/net/ipv4/tcp_max_syn_backlog", "net.ipv4.tcp_max_syn_backlog", 1024, "the same for connections that are being opened"},
		{"proc/sys/net/ipv4/tcp_syncookies", "net.ipv4.tcp_syncookies", 1, "a SYN flood keeps clients out"},
	} {
		n, ok := m.number(s.path)
		if !ok {
			f.add(Finding{Level: Unknown, About: about, Setting: s.name, Page: kernel, Change: "look at it with sysctl " + s.name})
			continue
		}
		want := int64(65535)
		if s.least == 1 {
			want = 1
		}
		f.judge(n >= s.least, Finding{Level: Warning, About: about, Setting: s.name, Found: fmt.Sprint(n), Page: kernel,
			Change: fmt.Sprintf("%s = %d in /etc/sysctl.d/50-hearth.conf", s.name, want), Why: s.why})
	}
	m.memory(&f, about, kernel)
	m.conntrack(&f, about, kernel)
	return f
}

// number is the number that a file holds.
func (m *MachineFacts) number(path string) (int64, bool) {
	text, err := fs.ReadFile(m.Root, path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// meminfo is a line of /proc/meminfo in bytes.
func (m *MachineFacts) meminfo(name string) (int64, bool) {
	text, err := fs.ReadFile(m.Root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

func (m *MachineFacts) memory(f *Findings, about, kernel string) {
	if swap, ok := m.meminfo("SwapTotal"); ok && swap > 0 {
		n, known := m.number("proc/sys/vm/swappiness")
		f.judge(known && n <= 10, Finding{Level: Warning, About: about, Setting: "vm.swappiness", Found: fmt.Sprintf("%d, with %s of swap", n, bytes(swap)), Page: kernel,
			Change: "vm.swappiness = 1, or no swap", Why: "entries that come back from the disk are slower than Redis"})
	}
	total, ok := m.meminfo("MemTotal")
	if limit, limited := m.number("sys/fs/cgroup/memory.max"); limited && limit < total {
		total = limit
	}
	if ok && m.Budget > 0 {
		f.judge(m.Budget <= total/10*7, Finding{Level: Warning, About: about, Setting: "memory.budget", Found: bytes(m.Budget) + " of " + bytes(total), Page: "operations.md#memory",
			Change: "lower memory.budget to 45 % of what the process may have, or say \"auto\"", Why: "connections, large answers and garbage need room beside it, and the kernel ends what has none"})
	}
}

// conntrack judges the table of a firewall, if there is one.
func (m *MachineFacts) conntrack(f *Findings, about, kernel string) {
	most, ok := m.number("proc/sys/net/netfilter/nf_conntrack_max")
	if !ok {
		return
	}
	used, _ := m.number("proc/sys/net/netfilter/nf_conntrack_count")
	f.judge(used < most/10*8, Finding{Level: Warning, About: about, Setting: "nf_conntrack_max", Found: fmt.Sprintf("%d of %d in use", used, most), Page: kernel,
		Change: "raise net.netfilter.nf_conntrack_max", Why: "when it is full new connections are lost, and no log of Hearth shows it"})
}
