// Command hearth answers hot JSON reads over HTTP from its own memory, and
// keeps that memory coherent with Redis and with the database behind it.
//
// Usage:
//
//	hearth [-config FILE] [VERB] [ARGUMENT...]
//
//	serve    serve until SIGTERM; what hearth does without a verb
//	init     draft a configuration for own tables, or for a service
//	check    report every fault of the configuration
//	explain  tell how a running server would answer a GET, and why
//	top      watch a running server in a terminal
//	doctor   look at all around the server, and say what to change
//	feed     install, remove, see and flush the change feed in the database
//	help     explain a verb, or list all of them
//	version  print the version
//
// hearth help VERB says more of one; docs/cli.md has all of it.
//
// The configuration is one TOML file, config.toml in the working directory
// unless -config names another. The config.toml that comes with the program
// lists every key with its meaning and default. Every scalar can be overridden
// from the environment: HEARTH_ + section + _ + key in capitals, such as
// HEARTH_SERVER_LISTEN or HEARTH_REDIS_URL.
//
// Signals:
//
//	SIGTERM  drain: turn /healthz and /readyz to 503, keep answering for
//	         server.drain, close the listeners, let requests finish, end
//	SIGINT   the same without waiting for server.drain
//	either of them during the start-up ends that, within two seconds
//	a second SIGTERM or SIGINT ends the process at once
//	SIGHUP   reload: read the configuration file, the secrets it names and the
//	         certificates again and serve them; on any error all stays as it is,
//	         and the log says why (docs/configuration.md: what needs a restart).
//	         One that comes during the start-up is obeyed after it
//
// Exit status: 0 after a drain, after a start-up that a signal has ended, a
// successful check, feed or version; 1 when the configuration is faulty, the server
// could not start or go on, or the feed is not live; 2 for arguments it does not know. A second SIGTERM
// or SIGINT ends the process by that signal (143 or 130 in a shell).
//
// Started by systemd it takes passed sockets (named public and admin), reports
// READY=1, RELOADING=1 and STOPPING=1, and feeds the watchdog while it works.
package main

import (
	"os"

	"hearth/internal/command"
)

// version is set when the program is linked.
var version = "devel"

func main() { os.Exit(command.Main(version)) }
