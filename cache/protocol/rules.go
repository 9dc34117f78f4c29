package protocol

// Rules are the choices that the protocol makes. The zero value of each is the
// design's; the others are what one might have done instead. The tests' table
// of failures has for each of them the shortest order of events that it does
// not survive.
type Rules struct {
	Unguard   Unguard
	Fill      Fill
	Keep      Keep
	Reply     Reply
	Poison    Poison
	Drop      Drop
	Join      Join
	Pass      Pass
	Refresh   Refresh
	Sibling   Sibling
	Unchanged Unchanged
	Confirm   Confirm
	Break     Break
	Replicate Replicate
	Renew     Renew
	Remember  Remember
	TakeOver  TakeOver
	Hold      Hold
	Birth     Birth
	Tell      Tell
	Outdate   Outdate
	Mark      Mark
	Take      Take
	Rows      Rows
	Find      Find
	Await     Await
	Kept      Kept
	Share     Share
	Wait      Wait
	Versions  Versions
}

// Unguard is what a writer does to the key after its commit.
type Unguard uint8

const (
	// UnguardFills takes the writer's token out. Alone all the time, it puts its
	// record there; the last of several deletes the key, for none knows
	// whose commit was last; one that finds no guard deletes what it finds.
	UnguardFills Unguard = iota
	// UnguardDeletes is the same without ever putting a record: what a
	// deletion does. It holds as well.
	UnguardDeletes
	// UnguardOwn deletes the key if the guard is still its own. If it is not,
	// a reader may have filled the key from before the commit.
	UnguardOwn
	// UnguardAlways deletes the key whatever stands there, and writers do not
	// join guards. Of two writers the first to end removes the other's
	// protection.
	UnguardAlways
)

// Fill is when a reader may put what it has loaded into the key.
type Fill uint8

const (
	// FillUnderLease fills only while its lease still stands.
	FillUnderLease Fill = iota
	// FillBlind is the recipe: SET, whatever stands there. A slow load then
	// overwrites a newer value, or a guard.
	FillBlind
)

// Keep is what memory keeps.
type Keep uint8

const (
	// KeepTracked keeps values in replies to tracked reads, and nothing else:
	// only for those has Redis promised to tell of changes.
	KeepTracked Keep = iota
	// KeepFilled keeps also what was filled from here.
	KeepFilled
	// KeepFound keeps also what SET NX GET found.
	KeepFound
	// KeepNil keeps also "no such key", as a missing record.
	KeepNil
	// KeepPlain keeps also what a plain read has brought.
	KeepPlain
	// KeepPlainTracked keeps that if the key is tracked just then, by another read. A
	// reply and the invalidation that is newer come over two connections.
	KeepPlainTracked
)

// Reply is which read a reply resolves.
type Reply uint8

const (
	// ReplyOfOwn resolves the read that it answers.
	ReplyOfOwn Reply = iota
	// ReplyOfNewest resolves the latest pending read of the key, which may have
	// been sent after a write that the reply knows nothing of.
	ReplyOfNewest
	// ReplyOfPlain lets the reply to a plain read resolve a tracked one, too.
	ReplyOfPlain
)

// Poison is what an own write does to reads in flight.
type Poison uint8

const (
	// PoisonReads delivers them to readers that wait already; they are neither stored
	// nor joined any more.
	PoisonReads Poison = iota
	// PoisonNothing lets a reply from before the write be stored after it.
	PoisonNothing
)

// Drop is when an own write drops the local copy and poisons flights.
type Drop uint8

const (
	// DropAfter does it when the guard stands, and again after the unguard's
	// reply.
	DropAfter Drop = iota
	// DropBefore does it before the unguard is sent: a read may begin in between.
	DropBefore
	// DropAtGuard does it when the guard stands and never again. The guard may
	// have been lost before the commit.
	DropAtGuard
)

// Join is which readers may wait for a load that runs.
type Join uint8

const (
	// JoinByToken lets a reader join that has seen its lease stand in Redis since it
	// began.
	JoinByToken Join = iota
	// JoinRearmed lets everybody join until an own write, a broken link or an
	// invalidation, the key having been read tracked under the lease. It
	// holds as well, at the price of a tracked read per load.
	JoinRearmed
	// JoinUntilTold is the same without that read: the invalidation has come
	// and gone before the lease was taken, and there will not be another.
	JoinUntilTold
	// JoinUntilWritten lets everybody join until an own write. Other
	// instances write, too.
	JoinUntilWritten
	// JoinAlways lets everybody join whatever happens, tracked reads included.
	JoinAlways
)

// Pass is which readers may wait for a pass.
type Pass uint8

const (
	// PassAlone is none once it has begun.
	PassAlone Pass = iota
	// PassSameGuard is those that see the same guard as the pass did. The guard of a
	// writer that has acknowledged may still look the same, because another
	// writer's took its place.
	PassSameGuard
)

// Refresh is when a refresh may begin.
type Refresh uint8

const (
	// RefreshStanding takes the lease only while the value to be renewed stands
	// in Redis, in one step.
	RefreshStanding Refresh = iota
	// RefreshRemembered believes memory that it stands there.
	RefreshRemembered
)

// Sibling is which steps delete the refresh lease of another process.
type Sibling uint8

const (
	// SiblingAtUnguard is guards, fills and unguards.
	SiblingAtUnguard Sibling = iota
	// SiblingAtGuard is guards and fills. A refresh lease taken while the guard
	// stood outlives the write then.
	SiblingAtGuard
)

// Unchanged is when a refresh takes the value for the one it has seen.
type Unchanged uint8

const (
	// UnchangedExpiry compares bytes and the time of expiry.
	UnchangedExpiry Unchanged = iota
	// UnchangedBytes compares bytes, which come back (ABA).
	UnchangedBytes
)

// Confirm is when a write may be acknowledged.
type Confirm uint8

const (
	// ConfirmUnguard is after the unguard's reply.
	ConfirmUnguard Confirm = iota
	// ConfirmCommit is after the commit, also when Redis could not be reached
	// to remove the guard: what was filled meanwhile is not dropped then.
	ConfirmCommit
)

// Break is what a broken link ends.
type Break uint8

const (
	// BreakAll ends the trust in memory, and all joins.
	BreakAll Break = iota
	// BreakMemory leaves flights joinable, which relied on being told of changes.
	BreakMemory
	// BreakFlights leaves memory trusted, which is not told of changes any more.
	BreakFlights
)

// Replicate is which replicas confirm a guard, or its removal, before the next step.
type Replicate uint8

const (
	// ReplicateLater is none: the rules of a take-over need none.
	ReplicateLater Replicate = iota
	// ReplicateOne is any one. Another may be promoted.
	ReplicateOne
	// ReplicateAll is all of them. While an instance speaks to a former master, it
	// writes nothing then: the replica that was promoted does not confirm.
	ReplicateAll
)

// Remember is which keys an instance deletes at a server that takes the place of
// another, which may not have what was written to that one last.
type Remember uint8

const (
	// RememberTold is what was guarded, unguarded or removed here, and what memory had
	// a copy of when its change was reported: those who changed it may have died.
	RememberTold Remember = iota
	// RememberOwn is without what was reported.
	RememberOwn
	// RememberNothing is nothing.
	RememberNothing
)

// TakeOver is what an instance does when it learns that its server is another one.
type TakeOver uint8

const (
	// TakeOverDeletes ends the old connections, then deletes the keys it
	// remembers, then asks the new server for anything. The guard of another stays, marked
	// as shared.
	TakeOverDeletes TakeOver = iota
	// TakeOverAsks asks before it deletes.
	TakeOverAsks
	// TakeOverDeletesGuards takes the guards of others away, too. It holds as well, at the
	// price of their transactions.
	TakeOverDeletesGuards
	// TakeOverLeavesGuards does not mark guards of others as shared. Their writers
	// may put a record into the key that is older than what was written at the
	// former master.
	TakeOverLeavesGuards
	// TakeOverTrusts goes on trusting what was read on the old connections.
	TakeOverTrusts
)

// Hold is for how long answers from the tiers are marked after a take-over.
type Hold uint8

const (
	// HoldUntilAll is until all other instances have taken over: until then one
	// of them may acknowledge writes that are at the former master only.
	HoldUntilAll Hold = iota
	// HoldBriefly is for a time in which most have.
	HoldBriefly
	// HoldNothing is not at all.
	HoldNothing
)

// Renew is how a guard is kept while the outcome of its COMMIT is unknown. A client that
// has read the record of that commit takes it for acknowledged.
type Renew uint8

const (
	// RenewUntilKnown renews until the outcome is known, and sets anew, marked as
	// shared, what was lost all the same: sooner or later, and in any case before a
	// pass is answered.
	RenewUntilKnown Renew = iota
	// RenewForRequest renews as long as the request has time, which is over when the
	// answer to COMMIT is lost.
	RenewForRequest
	// RenewOnly renews until the outcome is known, and sets nothing anew.
	RenewOnly
	// RenewApart sets anew sooner or later; passes do not wait for it.
	RenewApart
	// RenewAlone does not mark as shared what it sets anew. Another writer may have
	// come and gone while it was lost.
	RenewAlone
)

// Birth is what an instance does that starts.
type Birth uint8

const (
	// BirthTrusts trusts the server that it finds. If that was promoted a moment
	// before, others may not have learned it.
	BirthTrusts Birth = iota
	// BirthHolds holds as after a take-over.
	BirthHolds
)

// Faults are the accidents that may happen. Without any, processes end their
// work, and placeholders of the dead expire.
type Faults struct {
	Crash      bool   // processes die at any step
	Expire     bool   // placeholders of living processes expire, too
	Links      bool   // tracked connections break
	Commit     Commit // how a writer may die under its COMMIT
	Promotions uint8  // how often a replica is promoted, with what it has
	Replicas   uint8  // how many there are then; 0: one
	Prompt     bool   // what is reported to an instance arrives before a promotion, or a death, is learned
	Death      bool   // one instance dies, with no write under way: the rest is a matter of Crash
	Late       bool   // instance 1 starts at any time
	Foreign    bool   // foreign programs do not learn of a promotion
	Deferred   bool   // the database changes a record once more in COMMIT, when it was read back already
}

// replicas is how many of State.Replicas there are.
func (f Faults) replicas() int {
	if f.Promotions == 0 {
		return 0
	}
	return max(1, int(f.Replicas))
}

// Commit is what can happen between COMMIT and its answer.
type Commit uint8

const (
	// CommitAtOnce: nothing.
	CommitAtOnce Commit = iota
	// CommitInDoubt: the writer dies, the database commits later, and the guard
	// stands until then.
	CommitInDoubt
	// CommitUnanswered: the database takes its time, or the answer is lost; the
	// writer lives, and asks until it knows.
	CommitUnanswered
	// CommitOutlivesGuard: as CommitInDoubt, and the guard expires before. This is a
	// gap: the design does not survive it.
	CommitOutlivesGuard
)

// Start is what there is at the beginning.
type Start uint8

const (
	// Cold is nothing.
	Cold Start = iota
	// Filled is Redis holding the value.
	Filled
	// Warm is both memories holding it, too.
	Warm
)
