package command

// topic is what is said of the program beside its verbs.
type topic struct {
	title, about string
	rows         []choice
}

// topics are the end of the usage and of the manual page.
func topics() []topic {
	return []topic{
		{title: "Exit status", rows: []choice{
			{"0", "all is well, also after a drain, and after a start-up that a signal has ended"},
			{"1", "the configuration is faulty, the server could not start or go on, or the answer of a verb is no"},
			{"2", "arguments that the program does not know"},
			{"130, 143", "as a shell has them: a second SIGINT or SIGTERM has ended the process at once"},
		}},
		{title: "Signals", about: "What the server does with them:", rows: []choice{
			{"SIGTERM", "drains: turns `/healthz` and `/readyz` to 503, keeps answering for `server.drain`, closes the listeners, lets requests finish, ends"},
			{"SIGINT", "the same without waiting for `server.drain`"},
			{"SIGHUP", "reloads: reads the configuration, the secrets it names and the certificates again and serves them; with any fault all stays as it is, and the log says why"},
		}},
		{title: "Environment", about: "Each single value of the configuration can be set by a variable: `HEARTH_`, the table, `_`, the key, in capitals.", rows: []choice{
			{"HEARTH_SERVER_LISTEN", "takes the place of `server.listen`, and so on"},
			{"CREDENTIALS_DIRECTORY", "where relative paths of files with secrets begin, as systemd sets it"},
		}},
	}
}
