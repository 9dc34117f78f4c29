package protocol

var (
	// The two gaps that the feed closes: a guard is lost and its writer dies, and a COMMIT
	// that comes behind the end of the guard.
	losing    = Faults{Crash: true, Expire: true}
	outliving = Faults{Commit: CommitOutlivesGuard, Expire: true}

	relying = Rules{Remember: RememberNothing, Hold: HoldNothing, Replicate: ReplicateAll}
	keeping = Rules{Kept: KeptReplayed}

	// An instance dies, and whoever is told of what it wrote may be told in vain.
	bereaved = Faults{Promotions: 1, Death: true}
)

// feedHolds are changes by others, and the feed that tells of them.
var feedHolds = []hold{
	{"feed, a guard is lost and its writer dies", Setup{Cast: "E1 W0 R0", Faults: losing}, 3781},
	{"feed, a COMMIT outlives its guard", Setup{Cast: "E1 W0 R0", Faults: outliving}, 1763},
	{"feed, expiry", Setup{Cast: "E0 F W0 R0", Faults: expiring}, 13088},
	{"feed, expiry", Setup{Cast: "E0 F F R0 R1", Faults: expiring}, 34663},
	{"feed, crashes", Setup{Cast: "E1 F W0 R1", Faults: crashing}, 22781},
	{"feed, two drainers, crashes", Setup{Cast: "E0 E1 F F R0", Faults: crashing}, 17221},
	{"feed, refreshes, expiry", Setup{Cast: "E0 F F R1 X0", Faults: expiring, Start: Warm}, 6042},
	{"feed, refreshes, expiry", Setup{Cast: "E0 W0 R0 X1", Faults: expiring, Start: Warm}, 16516},
	{"feed, foreign SET, expiry", Setup{Cast: "E0 F S R1", Faults: expiring}, 1982},
	{"feed, foreign DEL, expiry", Setup{Cast: "E0 W0 D R1", Faults: expiring}, 19457},
	{"feed, links break", Setup{Cast: "E0 F R0 R1", Faults: breaking, Start: Warm}, 1972},
	{"feed, COMMIT is not answered, expiry", Setup{Cast: "E0 F W0 R0", Faults: forgotten}, 39155},
	{"feed, a guard outlives a COMMIT under way", Setup{Cast: "E0 F W0 R0", Faults: Faults{Commit: CommitInDoubt}}, 9361},
	{"feed, deletions, expiry", Setup{Cast: "E0 F W0 R0", Rules: deleting, Faults: expiring}, 8644},

	{"feed, a record is changed again in COMMIT", Setup{Cast: "E0 F W0 R0", Faults: Faults{Expire: true, Deferred: true}, AtRest: true}, 12578},

	// What holds as well, at a price.
	{"feed deletes guards", Setup{Cast: "E0 F W0 R1", Rules: Rules{Outdate: OutdateDeletes}, Faults: losing}, 24963},
	{"feed leaves refreshes", Setup{Cast: "E0 F F R1 X0", Rules: Rules{Outdate: OutdateLeavesSibling}, Faults: expiring, Start: Warm}, 9554},
	{"feed leaves refreshes", Setup{Cast: "E0 W0 R0 X1", Rules: Rules{Outdate: OutdateLeavesSibling}, Faults: expiring, Start: Warm}, 17452},
	{"feed, own writes are not marked", Setup{Cast: "E0 W0 R0", Rules: Rules{Mark: MarkNothing}, Faults: losing}, 2831},
	{"feed, all own writes are marked", Setup{Cast: "E0 W0 R0", Rules: Rules{Mark: MarkAlways}, Faults: losing}, 5477},

	{"feed, fail-over", Setup{Cast: "E0 F R1", Faults: promoted, Start: Warm}, 2281},
	{"feed, fail-over, own writes", Setup{Cast: "E1 W0 R1", Faults: promoted, Start: Filled}, 46691},
	{"feed, two fail-overs", Setup{Cast: "E0 F R1", Faults: again, Start: Warm}, 8147},
	{"feed, fail-over, all replicas confirm, nothing remembered or held", Setup{Cast: "E0 W1 R1", Rules: relying, Faults: two, Start: Filled}, 3617},
	{"feed, fail-over, the drainer dies, rows are kept", Setup{Cast: "E0 E1 F", Rules: keeping, Faults: bereaved, Start: Filled, AtRest: true}, 2207},
	{"feed, fail-over, a foreign DEL at the former master, rows are kept", Setup{Cast: "E1 D R1",
		Rules: keeping, Faults: Faults{Promotions: 1, Foreign: true}, Start: Warm, AtRest: true}, 18315},
	{"feed, two fail-overs, nothing remembered, rows are kept", Setup{Cast: "E0 F R1",
		Rules: Rules{Remember: RememberNothing, Kept: KeptReplayed}, Faults: again, Start: Warm, AtRest: true}, 13192},
}

// longFeedHolds are explored when HEARTH_LONG is 1.
var longFeedHolds = []hold{
	{"feed, fail-over, the writer's instance dies, rows are kept", Setup{Cast: "E1 W0 R1", Rules: keeping, Faults: bereaved, Start: Filled, AtRest: true}, 117252},
	{"feed, a guard is lost and its writer dies", Setup{Cast: "E0 E1 F W0 R0", Faults: losing}, 321978},
	{"feed, expiry", Setup{Cast: "E0 F W0 R0 R1", Faults: expiring}, 562980},
	{"feed, two writers", Setup{Cast: "E0 F W0 W1 R1", Faults: expiring}, 1183807},
	{"feed, two writers, crashes", Setup{Cast: "E1 W0 W1 R0", Faults: losing}, 425986},
	{"feed, two writers, all own writes are marked", Setup{Cast: "E0 W0 W1 R0", Rules: Rules{Mark: MarkAlways}, Faults: losing}, 609967},
	{"feed, refreshes, two writers", Setup{Cast: "E0 W0 W0 X1", Faults: crashing, Start: Warm}, 121363},
	{"feed, COMMIT is not answered, expiry", Setup{Cast: "E1 W0 W0 R0", Faults: forgotten}, 820797},
	{"feed, fail-over", Setup{Cast: "E0 F R0 R1", Faults: promoted, Start: Filled}, 32549},
	{"feed, fail-over, a guard is lost and its writer dies", Setup{Cast: "E1 W0 R0", Faults: Faults{Promotions: 1, Crash: true, Expire: true}, Start: Filled}, 399452},
	{"feed, fail-over, rows are kept", Setup{Cast: "E0 W0 F R1", Rules: keeping, Faults: promoted, Start: Filled, AtRest: true}, 1212386},
}

// feedFailures show that each rule of the feed is needed, and which gaps it closes.
var feedFailures = []failure{
	{"without the feed nobody tells of what others change", Agreement,
		Setup{Cast: "F R0", Start: Filled}, 1},
	{"a row is told before its commit is visible", Agreement,
		Setup{Cast: "E0 F R0", Rules: Rules{Tell: TellEarly}}, 10},
	{"guards of others are left as they are", SharedTier,
		Setup{Cast: "E0 F W0", Rules: Rules{Outdate: OutdateLeavesGuards}}, 6},
	{"a mark is believed for a change of others", SharedTier,
		Setup{Cast: "E0 F W0", Rules: Rules{Mark: MarkBelieved}}, 6},
	{"an own write is marked when its guard is set", OnTheWire,
		Setup{Cast: "E0 W0 R0", Rules: Rules{Mark: MarkAtGuard}, Faults: expiring}, 9},
	{"a mark is believed for what is changed in COMMIT", Agreement,
		Setup{Cast: "E0 W0", Rules: Rules{Mark: MarkDeferred}, Faults: Faults{Deferred: true}, AtRest: true}, 7},
	{"all that stands in the outbox is taken out", Agreement,
		Setup{Cast: "E0 F F R0", Rules: Rules{Take: TakeAll}}, 10},
	{"a row is taken out before its step, and the drainer dies", Agreement,
		Setup{Cast: "E0 E1 F R0", Rules: Rules{Take: TakeFirst}, Faults: crashing}, 8},
	{"numbers of rows come again, and a drainer has stood still", Agreement,
		Setup{Cast: "E0 E1 F F R0", Rules: Rules{Rows: RowsRenumbered}}, 13},
	{"rows are looked for behind the last one", Agreement,
		Setup{Cast: "E0 F F R0", Rules: Rules{Find: FindBehind}}, 10},
	{"fail-over, nothing remembered, no replica confirms", Agreement,
		Setup{Cast: "E0 F R1", Rules: forgetting, Faults: promoted, Start: Filled}, 9},
	{"fail-over, replicas confirm guards and not the feed's steps", SharedTier,
		Setup{Cast: "E0 F R1", Rules: Rules{Remember: RememberNothing, Hold: HoldNothing, Replicate: ReplicateAll, Await: AwaitNothing}, Faults: promoted, Start: Filled}, 6},
	{"fail-over, the drainer dies, rows are not kept", Agreement,
		Setup{Cast: "E0 E1 F R1", Faults: bereaved, Start: Filled, AtRest: true}, 8},
	{"fail-over, the drainer dies, rows are done again once", Agreement,
		Setup{Cast: "E0 E1 F R1", Rules: Rules{Kept: KeptOnce}, Faults: bereaved, Start: Filled, AtRest: true}, 9},
}
