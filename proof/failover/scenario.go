package main

var scenarios = []scenario{
	{"cluster-kill", "masters of a Cluster are killed under reads and writes, one after another, and come back", clusterKill},
	{"cluster-reshard", "slots and masters of a Cluster move, and a frozen master comes back as a replica", clusterReshard},
	{"cluster-canary", "slots that the instances' own keys are in move, and nodes join", clusterCanary},
	{"sentinel-kill", "the master that sentinels watch is killed, again and again", sentinelKill},
	{"sentinel-cut", "the master is cut off, with one instance on its side", sentinelCut},
	{"sentinel-planned", "the master that sentinels watch is changed by command, under writes", sentinelPlanned},
	{"moved", "the address of a Redis leads to another server; connections to the old one, now a replica, stay", moved},
	{"moved-name", "the name of a Redis resolves to another server", movedName},
	{"promoted-postgres", "a standby of PostgreSQL is promoted", promotedPostgres},
	{"promoted-mariadb", "a replica of MariaDB is promoted", promotedMariaDB},
}
