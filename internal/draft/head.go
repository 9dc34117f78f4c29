package draft

import "strings"

// head writes what stands before the resources. database is the URL, "" for none.
func head(b *strings.Builder, o Options, database string) {
	b.WriteString(`# Hearth's configuration, drafted by hearth init. It is yours to edit: nothing writes it again.
# What is not here has its default; docs/configuration.md is the reference of all keys.
#
#   hearth -config FILE check -connect     says what is wrong with it, and asks the servers it names
#   hearth -config FILE                    serves it; SIGHUP applies a change
` + rule + `[server]

# Where clients are served. Beyond loopback, PUT and DELETE need [[auth.token]].
listen = "127.0.0.1:8080"

# Where operators are served: a dashboard, health, metrics. Keep it private.
admin = "127.0.0.1:9090"
` + rule)
	switch {
	case o.redisFile != "":
		b.WriteString("# The shared tier, a Redis of version 7.0 or later, which all instances share. The file holds\n# the URL, because that has a password.\n[redis]\nurl_file = " + basic(o.redisFile) + "\n")
	case o.Redis == "":
		b.WriteString(`# The shared tier: one file for one process. With a Redis of version 7.0 or later several
# instances share it, and a change by any program reaches their memory:
#[redis]
#url = "redis://127.0.0.1:6379"
[embedded]
path = "hearth.db"
`)
	default:
		b.WriteString(`# The shared tier, a Redis of version 7.0 or later, which all instances share.
[redis]
url = ` + basic(o.Redis) + "\n")
	}
	if database != "" {
		headDatabase(b, o, database)
	}
	b.WriteString(rule + `# Who may write. Without a token PUT and DELETE are served on loopback only.
#[[auth.token]]
#name = "deploy"
#scopes = ["write"]             # "admin" and "metrics" open the admin listener
#token_file = "deploy-token"    # one line, for instance of: openssl rand -hex 32
`)
}

func headDatabase(b *strings.Builder, o Options, database string) {
	b.WriteString(rule + "# The system of record.\n[database]\n")
	if o.databaseFile != "" {
		b.WriteString("\n# The file holds the URL, because that has a password.\nurl_file = " + basic(o.databaseFile) + "\n")
	} else {
		b.WriteString("url = " + basic(database) + "\n")
	}
	b.WriteString("\n# For one statement, and the most connections.\ntimeout = \"2s\"\nmax_conns = 16\n" + rule)
	if o.Feed {
		b.WriteString(`# The change feed: what anybody changes in these tables is gone from every memory within
# milliseconds. It needs its triggers: hearth -config FILE feed install
[feed]
mode = "outbox"
`)
		return
	}
	b.WriteString(`# Other programs change these tables? With the change feed what they commit is gone from every
# memory within milliseconds; without it copies live by ttl. Say "outbox", and run
#   hearth -config FILE feed install
[feed]
mode = "off"
`)
}
