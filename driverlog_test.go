package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// TestStandardErrorIsTheLog cuts the connections of a driver that prints by itself,
// and lets the server fail after its start: every line is one of the log.
func TestStandardErrorIsTheLog(t *testing.T) {
	maria := testkit.MariaDB(t)
	config := `
[log]
format = "json"
[database]
url = "` + maria.URL() + `"
demo = true
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id, name FROM users WHERE id = {user_id}"
`
	in := launch(t, config)
	in.awaitReady()
	logged := func(in *instance) string {
		text, err := os.ReadFile(in.cmd.Stdout.(*os.File).Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	testkit.Eventually(t, patience, "the driver says that its connection is gone", func() bool {
		for _, row := range maria.Query(`SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()`) {
			maria.Exec("KILL " + row[0])
		}
		return strings.Contains(logged(in), `"driver":"mysql"`)
	})
	// Another one finds the sockets taken: that, too, is a line of the log.
	second := launch(t, config, "HEARTH_SERVER_LISTEN=unix:"+in.public)
	if err := second.cmd.Wait(); err == nil {
		t.Error("a second server on the same sockets did not fail")
	}
	for line := range strings.Lines(logged(in) + logged(second)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no line of the log: %q", line)
		}
	}
}
