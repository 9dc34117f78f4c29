package main

var scenarios = []scenario{
	{"lag", "others change rows of PostgreSQL, one after the other, while all instances are read", lag},
	{"leader", "leaders are killed while rows are changed", leader},
	{"kill", "everything is killed, frozen and restarted while rows are changed; Redis is at an address that moves", kill},
	{"kill-sentinel", "the same with a Redis that sentinels watch", killSentinel},
	{"kill-cluster", "the same with a Redis Cluster", killCluster},
	{"degraded", "nobody may drain for a while", degraded},
	{"gaps", "a guard is lost under a writer that dies, a commit finishes after its guard has expired", gaps},
	{"rolling", "instances with one more watch take the others' place, behind PgBouncer", rolling},
	{"saved", "rows are written by PUT, and the feed sees that, too", saved},
	{"puts", "PUTs meet changes of their rows by others, and by their own triggers", puts},
	{"tampered", "what is installed is changed by hand", tampered},
	{"kinds", "changes of every kind on each database", kinds},
	{"engines", "the same on MariaDB and SQLite, in short", engines},
	{"fleets", "two fleets share a database", fleets},
	{"restored", "a dump is restored while instances serve", restored},
	{"cost", "what the feed costs those who write and read", cost},
}
