package main

import (
	"fmt"
	"strings"

	"hearth/internal/testkit"
)

// became is what becomes of a server whose address now leads to another. It keeps every
// connection that it has.
type became struct {
	name string
	turn func(t *trial, old, next place)
}

var becomes = []became{
	{"a replica of the new one (READONLY)", func(_ *trial, old, next place) { old.follow(next) }},
	{"a replica of nobody (MASTERDOWN)", func(_ *trial, old, _ place) {
		old.Do("CONFIG", "SET", "replica-serve-stale-data", "no")
		old.Do("REPLICAOF", "127.0.0.1", "1")
	}},
	{"a master without replicas (NOREPLICAS)", func(_ *trial, old, _ place) { old.Do("CONFIG", "SET", "min-replicas-to-write", "1") }},
	{"frozen", func(_ *trial, old, _ place) { old.Pause() }},
	{"a server that loads (LOADING)", loading},
}

// padded is how many large keys a Redis gets, so that loading them takes time.
const padded = 300

func pad(server place) {
	for n := range padded {
		server.Do("SET", fmt.Sprint("pad:", n), strings.Repeat("x", 1100))
	}
}

// loading has a server load its keys anew, a few in a second. It answers meanwhile.
func loading(t *trial, old, _ place) {
	old.Do("CONFIG", "SET", "rdbcompression", "no")
	old.Do("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
	old.Do("CONFIG", "SET", "key-load-delay", "200000")
	if err := old.AdminConn().Send("DEBUG", "RELOAD"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, startWithin, "the old server loads", func() bool {
		_, err := old.Try("GET", "pad:0")
		return err != nil && strings.HasPrefix(err.Error(), "LOADING")
	})
}

// anew starts a server again, whatever has become of it, as the replica of the new one.
func (p place) anew(master place) {
	p.Kill()
	p.StartEmpty()
	p.follow(master)
}
