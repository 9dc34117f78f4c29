package protocol

import (
	"fmt"
	"strings"
)

// SlotSetup is a second, smaller model: one key of a resource without a source in a
// Cluster. Its slot moves from one node to the other while the key is written, deleted and
// read by an instance. The zero values of the rules are the design.
type SlotSetup struct {
	Nil   NilInCluster
	Ask   Ask
	Moves uint8   // how often the slot moves
	Sets  Version // how often the key is written
	// UntilLearned excuses an instance from the moment at which the slot opens until it
	// has learned that it has moved.
	UntilLearned bool
}

// NilInCluster is what memory does with "no such key" in a Cluster.
type NilInCluster uint8

const (
	// NilNever answers it and keeps nothing. Nothing is ever pushed for a key that
	// does not exist at the node that was asked: while its slot is open, the key is
	// created at the other node.
	NilNever NilInCluster = iota
	// NilUntilLeft keeps it until the instance learns that the slot has left the
	// node. The slot may be open for long before that.
	NilUntilLeft
	// NilKept keeps it like a value, which MIGRATE deletes at the node that it leaves.
	NilKept
)

// Ask is what memory does with what was read after ASK.
type Ask uint8

const (
	// AskAnswered answers it and keeps nothing: that read was not tracked.
	AskAnswered Ask = iota
	// AskKept keeps it.
	AskKept
)

// slotState is the whole world of that model. The nodes are 0 and 1.
type slotState struct {
	written Version // latest
	nodes   [2]Content
	owner   uint8 // of the slot, as the nodes say
	open    bool  // it is migrating from owner to the other
	moves   uint8
	knows   uint8   // the owner, as the instance believes
	memory  Version // of the instance; NilVersion: no such key
	from    uint8   // the node it was read at
	tracked [2]bool
	// wires are one connection for each node, on which messages come in order: at most a
	// reply, and an invalidation on either side of it.
	wires [2][3]slotMessage
}

// slotMessage is a message on its way to the instance; the zero value is none.
type slotMessage struct {
	Type    MessageType
	Content Content
}

// SlotResult is what became of an exploration.
type SlotResult struct {
	States    int
	Violation *Violation // nil: the setup holds
	Steps     int        // of a shortest way to it
	Trace     string     // that way, with a line for each step
}

// Explore walks through all states that can be reached.
func (u SlotSetup) Explore() SlotResult {
	at := slotState{memory: NoVersion}
	f := search(at, func(s slotState, emit func(slotState)) {
		u.expand(s, func(_ string, after slotState) { emit(after) })
	}, u.check)
	var trace strings.Builder
	for _, choice := range f.choices {
		n := int8(-1)
		before := at
		u.expand(before, func(what string, after slotState) {
			if n++; n == choice {
				fmt.Fprintf(&trace, "    %-48s %s\n", what, after.describe())
				at = after
			}
		})
	}
	return SlotResult{f.states, f.violation, len(f.choices), trace.String()}
}

func (s slotState) describe() string {
	holds := func(c Content) string {
		if c.State == Nothing {
			return "nothing"
		}
		return fmt.Sprint(c.Version)
	}
	return fmt.Sprintf("nodes=%s | %s memory=%s", holds(s.nodes[0]), holds(s.nodes[1]), describeMemory(s.memory))
}

// check: memory may be older than the latest write only while an invalidation is on the
// way from the node that it was read at.
func (u SlotSetup) check(s slotState) *Violation {
	if s.memory == NoVersion || s.onWire(s.from, Invalidation) || u.UntilLearned && (s.open || s.knows != s.owner) {
		return nil
	}
	now := s.nodes[s.owner]
	if s.open && now.State == Nothing {
		now = s.nodes[1-s.owner]
	}
	has := NilVersion
	if now.State == Value {
		has = now.Version
	}
	if s.memory != has {
		return &Violation{OnTheWire, fmt.Sprintf("memory offers %s, Redis holds %s, no invalidation on the way", describeMemory(s.memory), describeMemory(has))}
	}
	return nil
}

func (u SlotSetup) expand(s slotState, emit func(string, slotState)) {
	other := 1 - s.owner
	if s.written < u.Sets {
		at := s.owner
		if s.open && s.nodes[at].State == Nothing {
			at = other // ASK
		}
		after := s
		after.written++
		after.write(at, Content{State: Value, Version: after.written})
		emit(fmt.Sprintf("SET %d at node %d", after.written, at), after)
	}
	for at, c := range s.nodes {
		if c.State == Value {
			after := s
			after.write(uint8(at), Content{})
			emit(fmt.Sprintf("DEL at node %d", at), after)
		}
	}
	u.move(s, emit)
	u.read(s, emit)
	for n := range s.wires {
		u.take(s, uint8(n), emit)
	}
}

// move emits the steps of a move: the slot is opened, the key is carried over, the slot
// is given to the other node.
func (u SlotSetup) move(s slotState, emit func(string, slotState)) {
	after, other := s, 1-s.owner
	switch {
	case !s.open && s.moves < u.Moves:
		after.open = true
		emit("the slot is opened", after)
	case s.open && s.nodes[s.owner].State == Value:
		after.write(other, s.nodes[s.owner])
		after.write(s.owner, Content{})
		emit("MIGRATE", after)
	case s.open:
		after.owner, after.open = other, false
		after.moves++
		emit(fmt.Sprintf("the slot belongs to node %d", other), after)
	}
}

// read emits a read of the instance, and how it learns of a move: by MOVED or by asking
// for the topology.
func (u SlotSetup) read(s slotState, emit func(string, slotState)) {
	at, after := s.knows, s
	if at != s.owner {
		after.knows = s.owner
		if u.Nil == NilUntilLeft && s.memory == NilVersion && s.from != s.owner {
			after.memory = NoVersion
		}
		emit("the instance learns that the slot has moved", after)
		return
	}
	if s.memory != NoVersion || s.onWire(0, Replied) || s.onWire(1, Replied) {
		return
	}
	if c := s.nodes[at]; !s.open || c.State == Value {
		after.tracked[at] = true
		after.send(at, slotMessage{Replied, c})
		emit(fmt.Sprintf("the instance reads tracked at node %d", at), after)
	} else if u.Ask == AskKept {
		after.keep(s.nodes[1-at], 1-at)
		emit(fmt.Sprintf("the instance reads at node %d after ASK", 1-at), after)
	}
}

// take emits the arrival of the next message of node n.
func (u SlotSetup) take(s slotState, n uint8, emit func(string, slotState)) {
	msg, after := s.wires[n][0], s
	copy(after.wires[n][:], s.wires[n][1:])
	after.wires[n][2] = slotMessage{}
	switch {
	case msg.Type == Invalidation:
		if s.from == n {
			after.memory = NoVersion
		}
		emit(fmt.Sprintf("the instance takes the invalidation of node %d", n), after)
	case msg.Type == Replied:
		known := u.Nil == NilKept || u.Nil == NilUntilLeft && s.knows == n
		if msg.Content.State == Value || known {
			after.keep(msg.Content, n)
		}
		emit(fmt.Sprintf("the instance takes the reply of node %d", n), after)
	}
}

// keep puts in memory what was read at node n.
func (s *slotState) keep(c Content, n uint8) {
	s.memory, s.from = NilVersion, n
	if c.State == Value {
		s.memory = c.Version
	}
}

// write changes the key at a node, which tells the instance if it has read it there.
func (s *slotState) write(n uint8, c Content) {
	s.nodes[n] = c
	if s.tracked[n] {
		s.tracked[n] = false
		s.send(n, slotMessage{Type: Invalidation})
	}
}

func (s *slotState) send(n uint8, msg slotMessage) {
	for k := range s.wires[n] {
		if s.wires[n][k].Type == 0 {
			s.wires[n][k] = msg
			return
		}
	}
	panic("BUG: a wire is full")
}

// onWire tells whether such a message is on its way from node n.
func (s *slotState) onWire(n uint8, t MessageType) bool {
	for _, msg := range s.wires[n] {
		if msg.Type == t {
			return true
		}
	}
	return false
}
