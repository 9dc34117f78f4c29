package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// TestACommitThatHangs for many lifetimes of its guard, and then takes effect: from
// the moment that a client has read the record on the instance it was written at,
// nobody is answered with an older one, although Redis has lost all keys meanwhile.
// Then the database is replaced by a reload, which must not forget the write.
func TestACommitThatHangs(t *testing.T) {
	t.Parallel()
	redis, pg := testkit.Redis(t), testkit.Postgres(t)
	const config = `
[server]
drain = "0s"
[database]
demo = true
timeout = "400ms"
max_conns = 8
[load]
lease = "500ms"
wait = "300ms"
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT name FROM users WHERE id = {user_id}"
upsert = "UPDATE users SET name = {body.name} WHERE id = {user_id}"
`
	env := []string{"HEARTH_REDIS_URL=" + redis.URL(), "HEARTH_DATABASE_URL=" + pg.URL()}
	here, there := launch(t, config, env...), launch(t, config, env...)
	here.awaitReady()
	there.awaitReady()
	pg.Exec(`CREATE TABLE gate (open boolean); INSERT INTO gate VALUES (false);
		CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN LOOP
			BEGIN IF (SELECT open FROM gate) THEN RETURN NULL; END IF; PERFORM pg_sleep(0.01); EXCEPTION WHEN query_canceled THEN NULL; END;
		END LOOP; END $$;
		CREATE CONSTRAINT TRIGGER hanging AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang()`)
	if r := here.ask(http.MethodPut, "/user/1", `{"name":"late"}`); r.code != http.StatusGatewayTimeout {
		t.Fatalf("the write is answered %s, want 504", r)
	}
	guarded := func() bool { return strings.HasPrefix(redis.Text("GET", "user:1"), "guard") }
	if !guarded() {
		t.Errorf("the key holds %q, want the guard", redis.Text("GET", "user:1"))
	}
	must(t, os.WriteFile(here.cmd.Args[2], []byte(strings.Replace(config, "max_conns = 8", "max_conns = 7", 1)), 0o600))
	here.reload("ok")
	redis.Do("FLUSHALL")
	testkit.Eventually(t, patience, "the guard is set anew", guarded)
	deadlines := map[string]bool{} // a renewal gives it another
	testkit.Eventually(t, patience, "the guard outlives two more lifetimes", func() bool {
		if !guarded() {
			t.Fatalf("the key holds %q, want the guard", redis.Text("GET", "user:1"))
		}
		deadlines[redis.Text("GET", "user:1")] = true
		return len(deadlines) > 8
	})
	pg.Exec(`UPDATE gate SET open = true`)
	testkit.Eventually(t, patience, "the record is seen where it was written", func() bool {
		return strings.Contains(here.get("/user/1").body, "late")
	})
	for range 20 {
		if r := there.get("/user/1"); r.code == http.StatusOK && r.unmarked() && !strings.Contains(r.body, "late") {
			t.Fatalf("the other instance answers %s", r)
		}
	}
	testkit.Eventually(t, patience, "the write is settled", func() bool {
		return here.count(`^hearth_writes_unconfirmed (\d+)`, "/metrics") == 0
	})
	for _, in := range []*instance{here, there} {
		testkit.Eventually(t, patience, "it is in memory", func() bool { r := in.get("/user/1"); return r.fromMemory() && strings.Contains(r.body, "late") })
	}
	if log, err := os.ReadFile(filepath.Join(filepath.Dir(here.cmd.Args[2]), "hearth.log")); err != nil || strings.Contains(string(log), "panic") {
		t.Errorf("the log: %s, %v", log, err)
	}
}
