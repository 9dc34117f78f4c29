package protocol

var (
	promoted   = Faults{Promotions: 1}
	two        = Faults{Promotions: 1, Replicas: 2}
	again      = Faults{Promotions: 2}
	unlearned  = Faults{Promotions: 1, Prompt: true, Foreign: true}
	bereft     = Faults{Promotions: 1, Prompt: true, Death: true}
	lateBirth  = Faults{Promotions: 1, Late: true}
	forgetting = Rules{Remember: RememberNothing}
)

// failoverHolds are fail-overs to a replica that lacks the latest writes, of which the
// instances learn one after the other.
var failoverHolds = []hold{
	{"fail-over", Setup{Cast: "W0 R0", Faults: promoted, Start: Filled}, 8851},
	{"fail-over", Setup{Cast: "W0 R1", Faults: promoted, Start: Warm}, 12073},
	{"fail-over", Setup{Cast: "W0 W1", Faults: promoted, Start: Filled}, 14313},
	{"fail-over, refreshes", Setup{Cast: "W0 R1 X1", Faults: promoted, Start: Warm}, 114566},
	{"fail-over, expiry", Setup{Cast: "W0 R1", Faults: Faults{Promotions: 1, Expire: true}, Start: Warm}, 43893},
	{"fail-over, links break", Setup{Cast: "W0 R0", Faults: Faults{Promotions: 1, Links: true}, Start: Warm}, 23021},
	{"fail-over, COMMIT is not answered", Setup{Cast: "W0 R1", Faults: Faults{Promotions: 1, Commit: CommitUnanswered}, Start: Warm}, 37874},
	{"fail-over, one of two replicas confirms", Setup{Cast: "W0 R1", Rules: Rules{Replicate: ReplicateOne}, Faults: two, Start: Warm}, 47582},
	{"fail-over, all replicas confirm, nothing remembered or held", Setup{Cast: "W0 W1 R1",
		Rules: Rules{Replicate: ReplicateAll, Remember: RememberNothing, Hold: HoldNothing}, Faults: two, Start: Warm}, 40226},
	{"two fail-overs", Setup{Cast: "W0 R1", Faults: again, Start: Filled}, 32814},
	{"fail-over, own writes remembered", Setup{Cast: "W0 W1", Rules: Rules{Remember: RememberOwn}, Faults: promoted, Start: Warm}, 18165},
	{"fail-over, an instance dies, what it wrote is reported", Setup{Cast: "W0 R1", Faults: bereft, Start: Warm}, 11568},
	{"fail-over, a foreign DEL is reported", Setup{Cast: "D R1", Faults: Faults{Promotions: 1, Prompt: true}, Start: Warm}, 949},
	{"fail-over, an instance starts and holds", Setup{Cast: "W0 R1", Rules: Rules{Birth: BirthHolds}, Faults: lateBirth, Start: Filled}, 7568},
	{"fail-over, guards of others deleted", Setup{Cast: "W0 W1", Rules: Rules{TakeOver: TakeOverDeletesGuards}, Faults: promoted, Start: Warm}, 19167},
}

// longFailoverHolds are explored when HEARTH_LONG is 1.
var longFailoverHolds = []hold{
	{"fail-over", Setup{Cast: "W0 R0 R1", Faults: promoted, Start: Filled}, 202071},
	{"fail-over", Setup{Cast: "W0 W1 R0", Faults: promoted, Start: Filled}, 533164},
	{"fail-over", Setup{Cast: "W0 W1 R1", Faults: promoted, Start: Warm}, 619025},
	{"fail-over, expiry", Setup{Cast: "W0 R0 R1", Faults: Faults{Promotions: 1, Expire: true}, Start: Warm}, 1362446},
	{"fail-over, refreshes, expiry", Setup{Cast: "W0 W1 X1", Faults: Faults{Promotions: 1, Expire: true}, Start: Warm}, 579222},
	{"fail-over, COMMIT is not answered, expiry", Setup{Cast: "W0 R0", Faults: Faults{Promotions: 1, Expire: true, Commit: CommitUnanswered}, Start: Filled}, 162743},
	{"two fail-overs, expiry", Setup{Cast: "W0 R1", Faults: Faults{Promotions: 2, Expire: true}, Start: Warm}, 141180},
	{"two fail-overs", Setup{Cast: "W0 R0 R1", Faults: again, Start: Filled}, 868900},
}

// failoverFailures show that each rule of a take-over is needed, and what remains open.
var failoverFailures = []failure{
	{"nothing remembered", ReadYourWrites,
		Setup{Cast: "W0 R0", Rules: forgetting, Faults: promoted, Start: Filled}, 7},
	{"nothing remembered, one of two replicas confirms", ReadYourWrites,
		Setup{Cast: "W0 R0", Rules: Rules{Remember: RememberNothing, Replicate: ReplicateOne}, Faults: two, Start: Filled}, 7},
	{"the new master is asked before what is remembered is deleted", ReadYourWrites,
		Setup{Cast: "W0 R0", Rules: Rules{TakeOver: TakeOverAsks}, Faults: promoted, Start: Filled}, 6},
	{"guards of others are not marked as shared", ReadYourWrites,
		Setup{Cast: "W0 W1", Rules: Rules{TakeOver: TakeOverLeavesGuards}, Faults: promoted, Start: Filled}, 12},
	{"what was read at the former master is trusted", MemoryAgreement,
		Setup{Cast: "W0 R1", Rules: Rules{TakeOver: TakeOverTrusts}, Faults: promoted, Start: Warm}, 9},
	{"no hold", SharedTier,
		Setup{Cast: "W0 R1", Rules: Rules{Hold: HoldNothing}, Faults: promoted, Start: Filled}, 7},
	{"own writes remembered, and the writer dies", Agreement,
		Setup{Cast: "W0 R1", Rules: Rules{Remember: RememberOwn}, Faults: bereft, Start: Warm}, 9},
	{"own writes remembered, and a foreign DEL", Agreement,
		Setup{Cast: "D R1", Rules: Rules{Remember: RememberOwn}, Faults: Faults{Promotions: 1, Prompt: true}, Start: Warm}, 9},
	{"a guard lost by a fail-over behind a COMMIT is not set anew", ReadYourWrites,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Renew: RenewOnly}, Faults: Faults{Promotions: 1, Commit: CommitUnanswered}, Start: Filled}, 16},

	{"gap: an instance learns later than the others hold", SharedTier,
		Setup{Cast: "W0 R1", Rules: Rules{Hold: HoldBriefly}, Faults: promoted, Start: Filled}, 8},
	{"gap: the writer's instance dies, and nobody was told", Agreement,
		Setup{Cast: "W0 R1", Faults: bereft, Start: Filled}, 8},
	{"gap: the writer's instance dies, and the report is lost with its connection", Agreement,
		Setup{Cast: "W0 R1", Faults: Faults{Promotions: 1, Death: true}, Start: Warm}, 8},
	{"gap: an instance starts while another has not learned", SharedTier,
		Setup{Cast: "W0 R1", Faults: lateBirth, Start: Filled}, 6},
	{"gap: a foreign DEL at the former master, and nobody was told", Agreement,
		Setup{Cast: "D R1", Faults: unlearned, Start: Warm}, 7},
	{"gap: the writer dies between COMMIT and clean-up, its guard lost by a fail-over", Agreement,
		Setup{Cast: "W0 R1", Faults: Faults{Promotions: 1, Crash: true}, Start: Filled}, 13},
}
