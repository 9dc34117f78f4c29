// Package protocol is the coherence protocol as an executable specification:
// leases, guards, refreshes and two memories over one key. Explore walks
// through every order in which its processes can take their steps and tells
// the shortest way to a state that breaks a promise; Walk takes one way at
// random, for tests that play it against the real code.
//
// Every rule of the protocol has a variant here that breaks a promise, because a rule
// whose need cannot be shown is soon "simplified". That is why the choices are data
// (Rules) and not code: the tests hold a table of what has to break, and how.
//
// What the code does is named as there:
//
//	here                          in the code
//	Content, ContentState         what stands in a key: shared.Content, shared.State
//	Instance.Memory               the entry of the key, cache/memory
//	Instance.Tracked, channel     the connection: memory.Owner, its link and its wire
//	Progress.Flight               a flight of cache.Flights, joinable or poisoned; of who waits: a watch
//	Asking                        a plain read: one GET, of which memory keeps nothing
//	PassesGuard, PassesOpenWrite  a pass
//	Refresher                     a refresh, whose lease stands in the sibling key
//	Standing, Holds               a take-over: another server answers where one node's did
//	Drainer, Outdates             the change feed, internal/feed; cache.Cache.Outdate
//	State.Outbox, Kept            the outbox of the database, and what was taken out of it
//	State.Mark                    the mark of an own write, hearth:own:{key}
//
// Values are versions: version v is the record after the v-th commit, and has
// the bytes v % 2, so that bytes come back (ABA). A missing record is a version
// like any other. A read of memory needs no process: what it would be answered if it
// began now is checked in every state. Not modelled: lifetimes of values, answers marked
// stale or untracked but for those of a hold, several keys, sources that lag behind their
// own commits, records of several rows (so a change of a joined table is one of the record),
// and for how long a feed may be away. The slots of a Cluster that move have a model of their
// own (SlotSetup).
//
// Only tests import this package.
package protocol

import (
	"fmt"
	"strings"
)

// Setup is what a model consists of. The zero Rules are the design.
type Setup struct {
	// Cast names the processes: a role and, for all but foreign programs, the number
	// of its instance, such as "W0 R1 D".
	Cast   string
	Rules  Rules
	Faults Faults
	Start  Start
	// AtRest looks only at what there is when all is done: for promises that are kept again
	// after a while.
	AtRest bool
}

// Limits of a State, which has a fixed size so that it can be a map's key.
const (
	Instances    = 2
	Replicas     = 2
	MaxProcesses = 6
	maxReaders   = 2 // of one instance
	maxMessages  = 5 // that they can have under way: a reply each, and an invalidation around each
)

// Role is what a process does.
type Role uint8

// The roles of processes.
const (
	// Writer sets its guard, commits, removes the guard, acknowledges.
	Writer Role = iota + 1
	// Reader reads tracked; at nothing it takes the lease, loads and fills; at
	// a lease it waits; at a guard it waits, or loads past it. A plain one, P, begins with
	// a read that is not tracked, because memory is full and would not keep the record. One with
	// a version, V, begins when a write is acknowledged; one an instance.
	Reader
	// Refresher takes the lease in the sibling key, loads, and renews the value.
	Refresher
	// Drainer is the change feed: it reads a row of the outbox, outdates the key, takes the
	// row out.
	Drainer
	// Deleter is a foreign program that writes the database, then DELs the key.
	Deleter
	// Setter is one that writes the database, then SETs the key.
	Setter
	// Killer is one that DELs the key for no reason.
	Killer
	// Changer is one that writes the database and knows nothing of the key.
	Changer
)

const (
	roleLetters  = " WRXEDSKF"
	plainLetter  = 'P'
	versedLetter = 'V'
)

// Process is one member of the cast.
type Process struct {
	Role     Role
	Instance int    // where it runs; 0 for foreign programs, which run nowhere
	Plain    bool   // it is a reader of what memory would not keep
	Versed   bool   // it is a reader that brings the version of an acknowledged write
	Name     string // unique in the cast
}

// Model is a Setup ready to be walked through. It is immutable.
type Model struct {
	Setup
	Processes []Process

	numbered bool // writes of the key are numbered, which only a Refresher looks at
	watched  bool // who waits is looked after, as soon as there is a plain read
	fed      bool // commits leave rows in the outbox, which only a Drainer looks at
}

// New returns the model of a setup, or what is wrong with its cast.
func New(s Setup) (*Model, error) {
	m := &Model{Setup: s}
	readers := [Instances]int{}
	names := map[string]int{}
	for word := range strings.FieldsSeq(s.Cast) {
		role := Role(max(strings.IndexByte(roleLetters, word[0]), 0))
		p := Process{Role: role, Name: word}
		if word[0] == plainLetter {
			p.Role, p.Plain = Reader, true
			role, m.watched = Reader, true
		}
		if word[0] == versedLetter {
			p.Role, p.Versed = Reader, true
			role = Reader
		}
		switch at := word[1:]; {
		case role == 0:
			return nil, fmt.Errorf("cast %q: %q is no process", s.Cast, word)
		case role >= Deleter && at == "":
		case role < Deleter && (at == "0" || at == "1"):
			p.Instance = int(at[0] - '0')
		default:
			return nil, fmt.Errorf("cast %q: %q is on no instance", s.Cast, word)
		}
		if names[word]++; names[word] > 1 {
			p.Name = fmt.Sprintf("%s(%d)", word, names[word])
		}
		if role == Reader {
			readers[p.Instance]++
		}
		m.numbered = m.numbered || role == Refresher
		m.fed = m.fed || role == Drainer
		m.Processes = append(m.Processes, p)
	}
	if len(m.Processes) > MaxProcesses || readers[0] > maxReaders || readers[1] > maxReaders {
		return nil, fmt.Errorf("cast %q: at most %d processes and %d readers an instance fit a state", s.Cast, MaxProcesses, maxReaders)
	}
	return m, nil
}

// Initial returns the state in which no process has done anything.
func (m *Model) Initial() State {
	s := State{Refresher: NoProcess}
	for i := range s.Instances {
		s.Instances[i].Memory = NoVersion
	}
	for n := range m.Processes {
		s.Processes[n].Value = NoVersion
	}
	if m.Start != Cold {
		s.Redis.State = Value
	}
	if m.Start == Warm {
		for i := range s.Instances {
			s.Instances[i].Memory, s.Instances[i].Tracked = 0, true
		}
	}
	if m.Faults.Late {
		s.Instances[1] = Instance{Standing: Unborn, Memory: NoVersion}
	}
	s.Former.Refresher = NoProcess
	for k := range s.Replicas {
		s.Replicas[k].Refresher = NoProcess
		if k < m.Faults.replicas() {
			s.Replicas[k].Content = s.Redis
		}
	}
	return s
}
