package sqlitefile

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// Holders tells which other processes have locked the file against writers, or its log,
// as far as the system shows it: "" otherwise.
func (f *File) Holders() string {
	all, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	return holdersIn(string(all), inode(f.path), inode(f.path+indexSuffix))
}

// Where SQLite locks: bytes of a database's file (its file format, and os.h), and of the
// index of its log (wal.c). A reader has no lock for writing there.
const (
	pendingByte = 0x40000000
	writerByte  = 120
)

// holdersIn reads the system's list of locks.
func holdersIn(list string, database, index uint64) string {
	var all []string
	for line := range strings.Lines(list) {
		// 4: POSIX ADVISORY WRITE 1234 fe:00:5678 120 120; one that waits has an arrow.
		at := strings.Fields(line)
		if len(at) != 8 || at[1] != "POSIX" || at[3] != "WRITE" || at[4] == strconv.Itoa(os.Getpid()) {
			continue
		}
		of, _ := strconv.ParseUint(at[5][strings.LastIndexByte(at[5], ':')+1:], 10, 64)
		first, _ := strconv.ParseUint(at[6], 10, 64)
		if of == 0 || !(of == database && first >= pendingByte || of == index && first == writerByte) {
			continue
		}
		who := "process " + at[4]
		if name, err := os.ReadFile("/proc/" + at[4] + "/comm"); err == nil {
			who += " (" + strings.TrimSpace(string(name)) + ")"
		}
		if !slices.Contains(all, who) {
			all = append(all, who)
		}
	}
	return strings.Join(all, ", ")
}
