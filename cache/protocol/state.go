package protocol

import (
	"fmt"
	"math/bits"
	"strings"
)

// Version is a version of the record, or what memory keeps of it: versions that a foreign
// SET brought are kept as -1-v, for nothing is promised of them.
type Version int8

const (
	// NoVersion is the absence of one.
	NoVersion Version = -128
	// NilVersion is "no such key" taken for a missing record (KeepNil).
	NilVersion Version = -100
)

// NoProcess is the absence of one.
const NoProcess = -1

// State is the whole world at one moment. Its fields have no pointers and no
// padding: it is compared and hashed as the bytes it consists of, some
// millions of times.
type State struct {
	DB        Version // latest commit
	Acked     Version // latest acknowledged write, of any process
	Refresher int8    // process whose lease stands in the sibling key, or NoProcess
	Mark      uint8   // process whose own write is marked beside the key, and one more; 0: none
	Outbox    uint8   // processes whose commits wait in the outbox
	Kept      uint8   // those whose rows were taken out of it, and kept
	Lost      uint8   // those of Kept whose step was done at a former master
	Replayed  uint8   // promotion up to which lost rows were done again (KeptOnce)
	Redis     Content // what the master holds
	// Replicas follow the master; any of them may be promoted.
	Replicas [Replicas]Server
	// Former is the master of before the last promotion: it does not know that
	// it is none any more, and serves the instances that have not learned it.
	Former     Server
	Promotions uint8
	Instances  [Instances]Instance
	Processes  [MaxProcesses]Progress
}

// Server is what one server of Redis holds under the key and beside it.
type Server struct {
	Content   Content
	Refresher int8
	Mark      uint8
}

// Content is what a key of Redis holds.
type Content struct {
	State   ContentState
	Version Version // of a value
	// Tag is the number of the write for a value (it stands for the time of
	// expiry, and is zero where no rule looks at that), the process for a
	// lease, a set of processes for a guard.
	Tag uint8
}

// ContentState is what stands in the key.
type ContentState uint8

// The states of a key.
const (
	Nothing ContentState = iota
	Value
	ForeignValue // put there by a foreign SET
	Lease
	Guard
	SharedGuard // the plus: it was shared once, and stays so
)

// IsValue tells values from placeholders and nothing.
func (c Content) IsValue() bool { return c.State == Value || c.State == ForeignValue }

// IsGuard tells whether a write is under way.
func (c Content) IsGuard() bool { return c.State == Guard || c.State == SharedGuard }

// guardedBy tells whether the guard of process n stands.
func (c Content) guardedBy(n int) bool { return c.IsGuard() && c.Tag&(1<<n) != 0 }

// LeaseOf is the lease of process n.
func LeaseOf(n int) Content { return Content{State: Lease, Tag: uint8(n)} }

// GuardOf is the guard of some processes.
func GuardOf(shared bool, processes ...int) Content {
	c := Content{State: Guard}
	if shared {
		c.State = SharedGuard
	}
	for _, n := range processes {
		c.Tag |= 1 << n
	}
	return c
}

// holders is the set of processes whose tokens stand there.
func (c Content) holders() uint8 {
	switch c.State {
	case Lease:
		return 1 << c.Tag
	case Guard, SharedGuard:
		return c.Tag
	}
	return 0
}

// Holders are the processes whose tokens stand there.
func (c Content) Holders() []int { return members(c.holders()) }

// members are the processes in a set.
func members(set uint8) []int {
	var all []int
	for ; set != 0; set &= set - 1 {
		all = append(all, bits.TrailingZeros8(set))
	}
	return all
}

// without is a placeholder from which one token is gone.
func (c Content) without(n int) Content {
	if c.Tag &^= 1 << n; c.State == Lease || c.Tag == 0 {
		return Content{}
	}
	return c
}

// memory is the value as memory keeps it.
func (c Content) memory() Version {
	if c.State == ForeignValue {
		return -1 - c.Version
	}
	return c.Version
}

// Instance is one process of the server with its memory and the connection it
// reads tracked on.
type Instance struct {
	AckedHere Version // latest write acknowledged here
	Memory    Version
	Tracked   bool // Redis will tell of the next change of the key
	Standing  Standing
	Holds     bool // its answers from either tier are marked
	Remembers bool // the key was written or removed here within the last minute, or a copy of it dropped
	// Of the reader here that brings a version: what it has to be answered with at least, 0 until
	// it has come; whether memory is from a read that was sent since; the processes whose reads were
	// sent before; whether it was answered with less.
	Demand  Version
	Dated   bool
	Early   uint8
	Short   bool
	queued  uint8
	channel [maxMessages]Message // what Redis has sent and the instance has not taken yet
}

// Channel is what Redis has sent and the instance has not taken yet, in the
// order of the wire.
func (i *Instance) Channel() []Message { return i.channel[:i.queued] }

// SetChannel replaces the messages under way, for tests that describe what
// they have seen.
func (i *Instance) SetChannel(all []Message) {
	i.channel = [maxMessages]Message{}
	i.queued = uint8(copy(i.channel[:], all))
}

func (i *Instance) send(m Message) {
	i.channel[i.queued] = m
	i.queued++
}

// take removes the first message; those behind it move up, so that equal
// channels are equal bytes.
func (i *Instance) take() {
	i.queued--
	copy(i.channel[:], i.channel[1:i.queued+1])
	i.channel[i.queued] = Message{}
}

// Message is one message on a tracked connection.
type Message struct {
	Type    MessageType
	Process uint8   // which asked
	Content Content // what a Replied says; of an Invalidation, the Version acknowledged when it was sent
}

// MessageType is what a message says.
type MessageType uint8

// The types of messages.
const (
	Invalidation MessageType = iota + 1
	Replied                  // to a tracked read
	Armed                    // to a tracked read under an own lease (JoinRearmed)
)

// Progress is how far a process has come.
type Progress struct {
	Phase  Phase
	Flight Flight
	Value  Version // what it has loaded or committed
	Saw    Content // the value that a refresh is to renew; the guard that a pass has met; the row that a feed has read, as the Tag; the reply to a plain read
}

// Phase is what a process does next.
type Phase uint8

// The phases, in the order in which each role goes through its own. A writer's:
//
//	Idle ─► Guarded ─► Committed ─► Confirmed ─► Done
//	           │          ▲
//	           ├─► Sent ──┘ its answer comes
//	           │     └────► Unanswered ─► Resolved ─► Unguarded ─► Done
//	           └─► Doubt ─► Dead, with its COMMIT under way
//
// From Unanswered to Unguarded the write is open: its instance passes both tiers.
// A reader's:
//
//	Idle ─► Reading ──────────────────────────────► Done, with a value
//	         ▲ │└─► Acquiring ─► Loading ─► Filling ─► Done
//	         │ │        │ └─► Done, with the value that it meets
//	         │ ▼        │
//	        Waiting ◄───┘
//	           └─► Passing ─► Done
//
// A plain reader begins with Asking, and so it does after a wait:
//
//	Idle ─► Asking ─► Done, with a value
//	          │ └──► Acquiring, as above
//	          └────► Following ─► Reading, as above
const (
	Idle Phase = iota

	Guarded    // writer: to commit
	Doubt      // writer: dead, its COMMIT under way
	Sent       // writer: to hear of its COMMIT; has a version once the database has committed
	Unanswered // writer: the same, and the answer is lost
	Resolved   // writer: its outcome is known by asking; to remove its guard
	Unguarded  // writer: to read the key from the tiers again
	Committed  // writer: to remove its guard
	Dropped    // writer: the same, with its local copy dropped before (DropBefore)
	Confirmed  // writer: to acknowledge

	Reading   // reader: its tracked read is out
	Acquiring // reader: to take the lease
	Waiting   // reader: for a change of a placeholder
	Loading   // reader, refresher: to load
	Filling   // reader: to fill
	Passing   // reader: to answer with what its pass has loaded
	Asking    // plain reader: its plain read is out
	Following // plain reader: has met a placeholder, to read it tracked

	Storing // refresher: to renew the value

	Wrote // foreign program: to touch the key

	Draining // feed: to outdate the key for the row that it has read
	Told     // feed: to take that row out of the outbox

	Done
	Dead
)

var phaseNames = [...]string{
	"idle", "guarded", "in doubt", "committing", "unanswered", "resolved", "unguarded", "committed", "dropped", "confirmed", "reading", "acquiring", "waiting",
	"loading", "filling", "passing", "asking", "following", "storing", "wrote", "draining", "told", "done", "dead",
}

func (p Phase) String() string { return phaseNames[p] }

// resting tells that the process changes nothing more unless it begins.
func (p Phase) resting() bool { return p == Idle || p >= Done }

// ended tells that the process does nothing more.
func (p Phase) ended() bool { return p >= Done }

// Flight is what may happen with what a reader has under way.
type Flight uint8

// Flights begin to be open with the read and end to be so. A wait is open for as long as
// its reader relies on being told.
const (
	NoFlight Flight = iota
	Open            // may be stored and joined
	Poisoned        // never again
)

// write changes the key at the server that instance i speaks to, which sends an
// invalidation to every instance that tracks it there.
func (s *State) write(i int, c Content) {
	former := s.Instances[i].Standing == Behind
	s.writeAt(former, c)
}

// writeAt changes the key at the former master or at the present one.
func (s *State) writeAt(former bool, c Content) {
	for i := range s.Instances {
		if in := &s.Instances[i]; in.Tracked && (in.Standing == Behind) == former {
			in.Tracked = false
			acked := s.Acked
			if in.Holds { // what it ends may be from before anything that the former master has acknowledged
				acked = 0
			}
			in.send(Message{Type: Invalidation, Content: Content{Version: acked}})
		}
	}
	if former {
		s.Former.Content = c
	} else {
		s.Redis = c
	}
}

// at is what the key holds at the server that instance i speaks to.
func (s *State) at(i int) Content {
	if s.Instances[i].Standing == Behind {
		return s.Former.Content
	}
	return s.Redis
}

// sibling is the process whose lease stands in the sibling key there.
func (s *State) sibling(i int) *int8 {
	if s.Instances[i].Standing == Behind {
		return &s.Former.Refresher
	}
	return &s.Refresher
}

// mark is the process whose own write is marked there, and one more.
func (s *State) mark(i int) *uint8 {
	if s.Instances[i].Standing == Behind {
		return &s.Former.Mark
	}
	return &s.Mark
}

// Describe prints a content with the names of the cast.
func (m *Model) Describe(c Content) string {
	who := m.namesOf(c.holders())
	switch c.State {
	case Value:
		return fmt.Sprintf("value %d", c.Version)
	case ForeignValue:
		return fmt.Sprintf("foreign value %d", c.Version)
	case Lease:
		return "lease of " + who
	case Guard:
		return "guard of " + who
	case SharedGuard:
		return "guard+ of " + who
	}
	return "nothing"
}

// namesOf prints a set of processes.
func (m *Model) namesOf(set uint8) string {
	var names []string
	for _, n := range members(set) {
		names = append(names, m.Processes[n].Name)
	}
	return strings.Join(names, ",")
}

// DescribeState prints what one line of a trace says of a state.
func (m *Model) DescribeState(s *State) string {
	var parts []string
	for i := range s.Instances {
		in := &s.Instances[i]
		parts = append(parts, standingNames[in.Standing]+describeMemory(in.Memory)+m.describeChannel(in.Channel())+m.describePlain(s, i))
		if in.Holds {
			parts[i] = "holding " + parts[i]
		}
	}
	sibling := ""
	if s.Refresher != NoProcess {
		sibling = ", refresh lease of " + m.Processes[s.Refresher].Name
	}
	if s.Mark != 0 {
		sibling += ", mark of " + m.Processes[s.Mark-1].Name
	}
	if s.Outbox != 0 {
		sibling += ", outbox: " + m.namesOf(s.Outbox)
	}
	former := ""
	if s.Promotions > 0 {
		former = fmt.Sprintf(" former=%s", m.Describe(s.Former.Content))
	}
	return fmt.Sprintf("db=%d redis=%s%s%s memories=%s", s.DB, m.Describe(s.Redis), sibling, former, strings.Join(parts, " | "))
}

// standingNames stand before what memory has.
var standingNames = [...]string{Settled: "", Behind: "behind, ", Arrived: "arrived, ", Gone: "dead, ", Unborn: "to start, "}

func describeMemory(v Version) string {
	switch {
	case v == NoVersion:
		return "-"
	case v == NilVersion:
		return "nil"
	case v < 0:
		return fmt.Sprintf("foreign %d", -1-v)
	}
	return fmt.Sprint(v)
}

func (m *Model) describeChannel(all []Message) string {
	if len(all) == 0 {
		return ""
	}
	var parts []string
	for _, msg := range all {
		switch msg.Type {
		case Invalidation:
			parts = append(parts, "invalidation")
		case Replied:
			parts = append(parts, fmt.Sprintf("%s to %s", m.Describe(msg.Content), m.Processes[msg.Process].Name))
		case Armed:
			parts = append(parts, "armed for "+m.Processes[msg.Process].Name)
		}
	}
	return " <- " + strings.Join(parts, ", ")
}
