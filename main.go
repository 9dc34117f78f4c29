// Command hearth answers hot JSON reads over HTTP from its own memory, and
// keeps that memory coherent with Redis and with the database behind it.
//
// Usage:
//
//	hearth [-config FILE] [VERB] [ARGUMENT...]
//
//	serve       serve until SIGTERM; what hearth does without a verb
//	init        draft a configuration for own tables, or for a service
//	check       report every fault of the configuration
//	reload      have a running server read its configuration again
//	probe       exit with 0 if a running server is healthy, with 1 if not
//	explain     tell how a running server would answer a GET, and why
//	top         watch a running server in a terminal
//	doctor      look at all around the server, and say what to change
//	feed        install, remove, see and flush the change feed in the database
//	help        explain a verb, or list all of them
//	completion  print what completes verbs, flags and files in a shell
//	schema      print the JSON Schema of the configuration, for editors
//	version     print the version
//
// hearth help VERB says more of one; docs/cli.md has all of it.
//
// The configuration is one TOML file, config.toml in the working directory
// unless -config names another. The config.toml that comes with the program
// lists every key with its meaning and default. Every scalar can be overridden
// from the environment: HEARTH_ + section + _ + key in capitals, such as
// HEARTH_SERVER_LISTEN or HEARTH_REDIS_URL.
//
// Signals: SIGTERM drains and ends, SIGINT ends without the pause for balancers, a
// second of either ends the process at once; SIGHUP reloads.
//
// Exit status: 0 when all is well, also after a drain and a start-up that a signal
// has ended; 1 when the configuration is faulty, the server could not start or go on,
// or a verb's answer is no; 2 for arguments it does not know.
//
// Started by systemd it takes passed sockets (named public and admin), reports
// READY=1, RELOADING=1 and STOPPING=1, and feeds the watchdog while it works.
package main

import (
	_ "embed"
	"os"

	"hearth/internal/command"
)

// version is set when the program is linked.
var version = "devel"

// schema is the JSON Schema of the configuration.
//
//go:embed config.schema.json
var schema string

func main() { os.Exit(command.Main(version, schema)) }
