package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// TestOneNameInAFleet: two instances, one Redis, and a column that ignores case.
// Whatever spelling is asked for, where and when, nobody is served a copy of
// the row that a write has not reached, and Redis has one key for it.
func TestOneNameInAFleet(t *testing.T) {
	redis, post := testkit.Redis(t), testkit.Postgres(t)
	post.Exec(`CREATE EXTENSION citext;
		CREATE TABLE people (email citext PRIMARY KEY, name text);
		INSERT INTO people VALUES ('Ann@x', 'first')`)
	const config = `
[server]
drain = "0s"
[[resource]]
name = "person"
path = "/person/{email:string}"
key = "person:{email}"
select = "SELECT email, name FROM people WHERE email = {email}"
select_many = "SELECT email, name FROM people WHERE email = ANY({email})"
upsert = "INSERT INTO people (email, name) VALUES ({email}, {body.name}) ON CONFLICT (email) DO UPDATE SET email = excluded.email, name = excluded.name"
delete = "DELETE FROM people WHERE email = {email}"
`
	env := []string{"HEARTH_REDIS_URL=" + redis.URL(), "HEARTH_DATABASE_URL=" + post.URL()}
	fleet := []*instance{launch(t, config, env...), launch(t, config, env...)}
	for _, in := range fleet {
		in.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		in.awaitReady()
	}
	spellings := []string{"ann@x", "ANN@X", "Ann%40X", "%41nn@x"} // the last one is the row's own
	read := func(in *instance, want string) {
		t.Helper()
		for _, s := range spellings {
			code, words := http.StatusPermanentRedirect, "own key"
			if s == "%41nn@x" {
				code, words = http.StatusOK, `"name":"`+want+`"`
			}
			if got := in.get("/person/" + s); got.code != code || !strings.Contains(got.body, words) {
				t.Errorf("reading %s: answered %v, want %d with %s", s, got, code, words)
			}
		}
		got := in.get("/person?email=" + strings.Join(spellings, "&email="))
		if n := strings.Count(got.body, `"person":null`); got.code != http.StatusOK || n != 3 || strings.Count(got.body, `"name":"`+want+`"`) != 1 {
			t.Errorf("reading many: answered %v", got)
		}
	}
	for range 3 { // from the source, from Redis, from memory
		read(fleet[0], "first")
		read(fleet[1], "first")
	}
	for _, s := range spellings[:3] {
		if got := fleet[1].ask(http.MethodPut, "/person/"+s, `{"name":"lost"}`); got.code != http.StatusConflict || !strings.Contains(got.body, "/person/Ann@x") {
			t.Errorf("writing %s: answered %v", s, got)
		}
		if got := fleet[0].ask(http.MethodDelete, "/person/"+s, ""); got.code != http.StatusConflict {
			t.Errorf("deleting %s: answered %v", s, got)
		}
	}
	if got := fleet[0].ask(http.MethodPut, "/person/Ann@x", `{"name":"second"}`); got.code != http.StatusOK {
		t.Errorf("writing: answered %v", got)
	}
	read(fleet[0], "second")
	testkit.Eventually(t, patience, "the other instance hears of it", func() bool {
		return strings.Contains(fleet[1].get("/person/Ann@x").body, "second")
	})
	read(fleet[1], "second")
	var keys []string
	for _, key := range redis.Do("KEYS", "person:*").([]any) {
		keys = append(keys, key.(string))
	}
	if !slices.Equal(keys, []string{"person:Ann@x"}) {
		t.Errorf("Redis has %q, want the row's one key", keys)
	}
	if got := post.Text(`SELECT string_agg(email || '=' || name, ' ') FROM people`); got != "Ann@x=second" {
		t.Errorf("the database has %s", got)
	}
}
