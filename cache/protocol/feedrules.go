package protocol

// The rules of the change feed.

// Tell is when a row of the outbox can be read.
type Tell uint8

const (
	// TellVisible is when the commit that it tells of is visible to every load that
	// begins: it is read by a snapshot, in the database that loads ask.
	TellVisible Tell = iota
	// TellEarly is before that: a replication slot, a binary log. A load that begins behind
	// the feed's step brings the record of before.
	TellEarly
)

// Outdate is what the feed does to the key.
type Outdate uint8

const (
	// OutdateMarks marks a guard of others as shared, and deletes anything else, the lease of a
	// refresh too.
	OutdateMarks Outdate = iota
	// OutdateDeletes deletes whatever stands there. It holds as well, at the price of the
	// write whose guard that was: it is rolled back.
	OutdateDeletes
	// OutdateLeavesSibling leaves the lease of a refresh. It holds as well, at the price of
	// that refresh, which loads for nothing.
	OutdateLeavesSibling
	// OutdateLeavesGuards leaves guards as they are. The record that their writers put may
	// have been read before the change.
	OutdateLeavesGuards
)

// Mark is what spares the record that a write through Hearth has put from the feed's word of
// that very write. It stands beside the key.
type Mark uint8

const (
	// MarkPut is set by the unguard that puts the record, and believed for the row of that
	// writer. So is a guard: the row of its only writer leaves it unmarked, for the record
	// that will be put is of that commit.
	MarkPut Mark = iota
	// MarkNothing has every write removed by the feed. It holds as well, at the price of a
	// load for every write.
	MarkNothing
	// MarkAlways is set by every unguard. It holds as well: behind the unguard nothing
	// stands in the key that is older than the commit. It spares nothing but what readers
	// have filled since.
	MarkAlways
	// MarkAtGuard is set when the guard is. That may be lost before the commit.
	MarkAtGuard
	// MarkDeferred is believed for what the database changes in COMMIT, too: deferred triggers.
	// The record that was read back lacks it, so the token is taken back before.
	MarkDeferred
	// MarkBelieved is believed for any row, also that of a later change by others.
	MarkBelieved
)

// Take is when a row leaves the outbox, and which.
type Take uint8

const (
	// TakeRead takes out what was read, when the step for it is acknowledged.
	TakeRead Take = iota
	// TakeAll takes out all that stands there then. A row may have come meanwhile.
	TakeAll
	// TakeFirst takes it out when it is read. Nobody does its step if the drainer dies.
	TakeFirst
)

// Rows is how rows are told from one another.
type Rows uint8

const (
	// RowsNumbered have numbers that never come again.
	RowsNumbered Rows = iota
	// RowsRenumbered may get the number of one that was taken out. A drainer that has stood
	// still takes out another row than it has read.
	RowsRenumbered
)

// Find is which rows of the outbox are looked at. They have numbers in the order in which
// their transactions wrote them (here that of the cast), and appear when these commit.
type Find uint8

const (
	// FindStanding is whatever stands there.
	FindStanding Find = iota
	// FindBehind is rows behind the last one that was handled. One that appears late is
	// never seen.
	FindBehind
)

// Await is which replicas confirm the feed's step before the row leaves the outbox.
type Await uint8

const (
	// AwaitLikeGuard is as many as confirm a guard (Replicate).
	AwaitLikeGuard Await = iota
	// AwaitNothing is none. The one that is promoted may lack the step.
	AwaitNothing
)

// Kept is what becomes of rows that were taken out.
type Kept uint8

const (
	// KeptNot is nothing.
	KeptNot Kept = iota
	// KeptReplayed keeps them for a while, and does them again when Redis may have lost what
	// was done: until no row can come any more whose step was done before that. Until then
	// an older record may be answered.
	KeptReplayed
	// KeptOnce does them again once. Another drainer, which still speaks to the former
	// master, may take rows out behind that.
	KeptOnce
)
