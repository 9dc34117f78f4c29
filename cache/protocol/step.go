package protocol

import (
	"fmt"
	"strings"
)

// Act is what happens in a step.
type Act uint8

// The acts, by the role that takes them.
const (
	// Writers.
	SetsGuard Act = iota
	Commits
	Aborts // its guard is lost, the transaction is rolled back
	DiesInCommit
	CommitsLate // the database does, of a writer that is dead
	SendsCommit
	CommitLands // the database commits, of a writer that has not heard of it
	HearsOutcome
	LosesAnswer   // and answers that the outcome is unknown
	SetsGuardAnew // which was lost
	LearnsOutcome
	DropsCopy
	RemovesGuard
	FailsToRemoveGuard
	Acknowledges // or says that the write was refused

	// Readers.
	ReadsTracked
	ReadsPlain // what memory would not keep
	TakesPlainReply
	TakesLease
	MeetsContent // instead of taking the lease
	Loads
	Fills         // unless Refused
	BringsVersion // that of a write, and sees it first
	AnswersMemory // who brings a version
	JoinsRead     // of another (CountJoined)
	PassesGuard
	PassesOpenWrite // of its own instance, whose outcome is unknown
	AnswersPass

	// Refreshers.
	TakesRefreshLease
	LoadsToRefresh
	Refreshes // unless Refused

	// Foreign programs.
	FlushesForeign // its row can be read, its commit is not visible (TellEarly)
	CommitsForeign
	SetsForeign
	DeletesForeign

	// The feed.
	ReadsRow    // that of the process in the Tag of Content, as the others
	Outdates    // unless Spared
	TakesRowOut // of the outbox
	ReplaysKept // rows that were taken out, after the server has become another

	// The rest of the world.
	Dies
	TakesInvalidation
	TakesReply
	TakesArmed
	LinkBreaks
	Expires // the token of Process
	RefreshLeaseExpires
	MarkExpires
	ReplicaCatchesUp
	FailsOver
	LearnsOfPromotion // ends its connections
	TakesOver         // deletes at the new master what it remembers
	EndsHold
	InstanceDies
	InstanceStarts

	Acts int = iota // how many there are
)

// Step is one atomic step and the state after it.
type Step struct {
	Act      Act
	Refused  bool    // a fill or a refresh came too late
	Spared   bool    // what stands in the key stays: the writer of the row has put it
	Process  int8    // that takes it, whose token expires, or whose reply is taken; or NoProcess
	Instance int8    // of messages and links
	Version  Version // committed, loaded, stored or acknowledged
	Content  Content // met, replied, or of which a token expires; the row of a drainer, as the Tag
	After    State
}

// actFormats say what happens; they take the version.
var actFormats = [Acts]string{
	MeetsContent: "meets something", TakesPlainReply: "takes the plain reply", TakesReply: "takes the reply", LinkBreaks: "its link breaks", Expires: "a placeholder expires",
	SetsGuard: "sets its guard", Commits: "commits %d", Aborts: "cannot renew its guard, aborts",
	DiesInCommit: "sends COMMIT and dies", CommitsLate: "is dead, but the database commits %d", SendsCommit: "sends COMMIT", CommitLands: "has not heard of it, but the database commits %d",
	HearsOutcome: "hears of its COMMIT", LosesAnswer: "does not hear of its COMMIT", SetsGuardAnew: "sets its guard anew", LearnsOutcome: "learns of its COMMIT", DropsCopy: "drops its copy",
	RemovesGuard: "removes its guard", FailsToRemoveGuard: "cannot reach Redis", Acknowledges: "acknowledges %d",
	ReadsTracked: "reads tracked", ReadsPlain: "reads plainly", TakesLease: "takes the lease", Loads: "loads %d", Fills: "fills %d",
	BringsVersion: "brings version %d", AnswersMemory: "is answered %d by memory", JoinsRead: "joins a read, and is answered %d",
	PassesGuard: "passes the guard, loads %d", PassesOpenWrite: "passes an open write, loads %d", AnswersPass: "answers %d, stores nothing",
	TakesRefreshLease: "takes the refresh lease", LoadsToRefresh: "loads %d to refresh", Refreshes: "stores %d",
	FlushesForeign: "(foreign) flushes its commit", ReadsRow: "reads a row of the outbox", Outdates: "outdates the key", TakesRowOut: "takes the row out", ReplaysKept: "does again what was kept", MarkExpires: "the mark expires",
	CommitsForeign: "(foreign) commits %d", SetsForeign: "(foreign) SETs %d", DeletesForeign: "(foreign) DELs",
	Dies: "dies", TakesInvalidation: "takes the invalidation", TakesArmed: "has read its lease tracked",
	RefreshLeaseExpires: "the refresh lease expires", ReplicaCatchesUp: "the replica catches up", FailsOver: "the replica is promoted",
	LearnsOfPromotion: "learns of the promotion, ends its connections", TakesOver: "takes over: deletes what it remembers",
	EndsHold: "ends its hold", InstanceDies: "dies", InstanceStarts: "starts",
}

func (a Act) String() string { return strings.ReplaceAll(actFormats[a], " %d", "") }

// DescribeStep prints what happens in a step, with the names of the cast.
func (m *Model) DescribeStep(s *Step) string {
	name := ""
	if s.Process != NoProcess {
		name = m.Processes[s.Process].Name
	}
	switch s.Act {
	case TakesPlainReply:
		return fmt.Sprintf("%s takes the plain reply: %s", name, m.Describe(s.Content))
	case MeetsContent:
		return fmt.Sprintf("%s meets %s", name, m.Describe(s.Content))
	case TakesReply:
		return fmt.Sprintf("instance %d takes the reply to %s: %s", s.Instance, name, m.Describe(s.Content))
	case TakesInvalidation, TakesArmed, LearnsOfPromotion, TakesOver, EndsHold, InstanceDies, InstanceStarts:
		return fmt.Sprintf("instance %d %s", s.Instance, actFormats[s.Act])
	case LinkBreaks:
		return fmt.Sprintf("the link of instance %d breaks", s.Instance)
	case Expires:
		return fmt.Sprintf("%s: that of %s expires", m.Describe(s.Content), name)
	case ReadsRow, Outdates, TakesRowOut:
		what := fmt.Sprintf("%s %s for %s", name, actFormats[s.Act], m.Processes[s.Content.Tag].Name)
		if s.Spared {
			what += " (spared: it has put the record)"
		}
		return what
	case Acknowledges:
		if s.Version == NoVersion {
			return name + " says that the write was refused"
		}
	}
	what := actFormats[s.Act]
	if s.Version != NoVersion {
		what = fmt.Sprintf(what, s.Version)
	}
	if s.Refused {
		what += " (refused)"
	}
	if name == "" {
		return what
	}
	return name + " " + what
}

// Next appends to buf the steps that are possible in s, in a fixed order.
func (m *Model) Next(s State, buf []Step) []Step {
	m.expand(s, func(st Step) { buf = append(buf, st) })
	return buf
}

// expand hands the steps that are possible in s to emit, in a fixed order.
func (m *Model) expand(s State, emit func(Step)) {
	x := expansion{m: m, s: s, emit: emit}
	for n := range m.Processes {
		switch m.Processes[n].Role {
		case Writer:
			x.writer(n)
		case Reader:
			x.reader(n)
		case Refresher:
			x.refresher(n)
		case Drainer:
			x.drainer(n)
		default:
			x.foreign(n)
		}
		if m.Faults.Crash {
			x.crash(n)
		}
	}
	for i := range s.Instances {
		x.connection(i)
	}
	x.expiry()
	x.failover()
}

// expansion is one state whose steps are wanted. It is passed by value, and so are steps:
// on the stack they cost the race detector nothing, under which every run of the tests
// explores all states.
type expansion struct {
	m    *Model
	s    State
	emit func(Step)
}

// step begins a step. Its After is still the state before: the caller changes
// it and emits the step.
func (x expansion) step(a Act, n int) Step {
	return Step{Act: a, Process: int8(n), Version: NoVersion, After: x.s}
}

// advance begins a step that brings process n into another phase, without version, flight
// or content.
func (x expansion) advance(a Act, n int, to Phase) Step {
	st := x.step(a, n)
	st.After.Processes[n] = Progress{Phase: to, Value: NoVersion}
	return st
}

// value is what stands in the key after instance i has put v there.
func (x expansion) value(i int, v Version) Content {
	if !x.m.numbered {
		return Content{State: Value, Version: v}
	}
	number := uint8(v)
	if r := x.s.at(i); r.IsValue() {
		number = r.Tag
	}
	return Content{State: Value, Version: v, Tag: number + 1}
}

// crash: a process may die wherever it has begun something that another process must be
// able to end.
func (x expansion) crash(n int) {
	switch x.s.Processes[n].Phase {
	case Guarded, Committed, Dropped, Confirmed, Loading, Filling, Storing, Draining, Told:
		st := x.advance(Dies, n, Dead)
		st.After.Processes[n].Value = x.m.kept(x.s.Processes[n].Value)
		x.emit(st)
	}
}
