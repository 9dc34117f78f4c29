package protocol

// versionHolds are readers that bring versions, beside all others.
var versionHolds = []hold{
	{"versions, expiry", Setup{Cast: "W0 V1 R1", Faults: expiring}, 620},
	{"versions, expiry", Setup{Cast: "W0 V1 R1", Faults: expiring, Start: Warm}, 1085},
	{"versions, expiry", Setup{Cast: "W0 W1 V1", Faults: expiring, Start: Warm}, 3339},
	{"versions, expiry", Setup{Cast: "W0 V0 R0", Faults: expiring, Start: Warm}, 1463},
	{"versions, crashes", Setup{Cast: "W0 W1 V1 R1", Faults: crashing, Start: Filled}, 20693},
	{"versions, refreshes, expiry", Setup{Cast: "W0 V1 R1 X0", Faults: expiring, Start: Warm}, 6744},
	{"versions, links break", Setup{Cast: "W0 V1 R1", Faults: breaking, Start: Warm}, 2728},
	{"versions, COMMIT is not answered, expiry", Setup{Cast: "W0 V1 R0", Faults: forgotten, Start: Filled}, 3093},
	{"versions, plain reads, foreign programs", Setup{Cast: "W0 D V1 P1", Faults: expiring, Start: Warm}, 23136},
}

// versionFailures show what breaks when a version asks for less.
var versionFailures = []failure{
	{"memory counts for a version whatever it has", ReadVersions,
		Setup{Cast: "W0 V1", Rules: Rules{Versions: Versions{Count: CountMemory}}, Start: Warm}, 6},
	{"a read that is on the wire is joined by who brings a version", ReadVersions,
		Setup{Cast: "W0 V1 R1", Rules: Rules{Versions: Versions{Count: CountJoined}}, Start: Filled}, 7},
	{"memory counts for a version by when the reply came", ReadVersions,
		Setup{Cast: "W0 V1 R1", Rules: Rules{Versions: Versions{Count: CountArrived}}, Start: Filled}, 8},
	{"a version is given out before the guard is out", ReadVersions,
		Setup{Cast: "W0 V1 R1", Rules: Rules{Versions: Versions{Token: TokenCommitted}}, Faults: expiring}, 12},
}
