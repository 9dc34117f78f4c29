package protocol

// plainHolds are readers of what memory would not keep, beside all others.
var plainHolds = []hold{
	{"plain reads, expiry", Setup{Cast: "W0 P0 R0", Faults: expiring}, 9809},
	{"plain reads, expiry", Setup{Cast: "W0 P0 R1", Faults: expiring, Start: Filled}, 8869},
	{"plain reads, expiry", Setup{Cast: "W1 P0 P0", Faults: expiring, Start: Warm}, 9433},
	{"plain reads, crashes", Setup{Cast: "W0 W1 P0", Faults: crashing}, 7212},
	{"plain reads, refreshes, expiry", Setup{Cast: "W0 P0 R1 X1", Faults: expiring, Start: Warm}, 58887},
	{"plain reads, foreign programs", Setup{Cast: "S D P0 R0", Faults: expiring, Start: Warm}, 3445},
	{"plain reads, links break", Setup{Cast: "W1 P0 R0", Faults: breaking, Start: Filled}, 9892},
	{"plain reads, COMMIT is not answered, expiry", Setup{Cast: "W0 P0 R1", Faults: forgotten, Start: Filled}, 46718},
	{"plain reads, the feed", Setup{Cast: "E1 F P0 R0", Faults: expiring, Start: Filled}, 545},
	{"plain reads, fail-over", Setup{Cast: "W0 P0", Faults: promoted, Start: Filled}, 11044},
	{"plain reads, fail-over", Setup{Cast: "W0 P1", Faults: promoted, Start: Filled}, 9014},
	{"plain reads, who waits looks again by time", Setup{Cast: "W0 P0 R0", Rules: Rules{Wait: WaitByTime}, Faults: expiring}, 7405},
}

// longPlainHolds are explored when HEARTH_LONG is 1.
var longPlainHolds = []hold{
	{"plain reads, expiry", Setup{Cast: "W0 P0 R0 R1", Faults: expiring}, 307484},
	{"plain reads, expiry", Setup{Cast: "W0 W1 P0 R0", Faults: expiring, Start: Filled}, 343222},
	{"plain reads, crashes", Setup{Cast: "W0 W1 P0 R0", Faults: crashing}, 244719},
	{"plain reads, fail-over, expiry", Setup{Cast: "W0 P0 R1", Faults: Faults{Promotions: 1, Expire: true}, Start: Warm}, 1632031},
}

// plainFailures show what breaks when more is made of a plain read.
var plainFailures = []failure{
	{"a plain read in flight is joined", ReadYourWrites,
		Setup{Cast: "W0 P0", Rules: Rules{Share: ShareAlways}, Start: Filled}, 5},
	{"a plain read in flight is joined until an own write", OnTheWire,
		Setup{Cast: "W1 P0", Rules: Rules{Share: ShareUntilWritten}, Start: Filled}, 5},
	{"a plain read in flight is joined until an invalidation", OnTheWire,
		Setup{Cast: "W1 P0", Rules: Rules{Share: ShareUntilTold}, Start: Filled}, 5},
	{"a lease that a plain read in flight has met lets join its load", OnTheWire,
		Setup{Cast: "W1 P0 R0", Rules: Rules{Share: ShareLeases}}, 9},
	{"memory keeps what a plain read brought", OnTheWire,
		Setup{Cast: "W1 P0", Rules: Rules{Keep: KeepPlain}, Start: Filled}, 6},
	{"memory keeps what a plain read brought of a tracked key", OnTheWire,
		Setup{Cast: "W1 P0 R0", Rules: Rules{Keep: KeepPlainTracked}, Start: Filled}, 7},
	{"a plain reply resolves a tracked read", OnTheWire,
		Setup{Cast: "W1 P0 R0", Rules: Rules{Reply: ReplyOfPlain}, Start: Filled}, 7},
	{"a plain read is followed by a wait", Woken,
		Setup{Cast: "W1 P0", Rules: Rules{Wait: WaitAtOnce}}, 3},
	{"a plain read of a tracked key is followed by a wait", Woken,
		Setup{Cast: "W1 P0 R0", Rules: Rules{Wait: WaitIfTracked}}, 6},
	{"gap: the writer's instance dies, and memory kept no copy whose end it was told", Agreement,
		Setup{Cast: "W0 P1", Faults: bereft, Start: Filled}, 8},
}
