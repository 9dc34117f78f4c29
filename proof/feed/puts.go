package main

import (
	"fmt"
	"net/http"
	"time"

	"hearth/internal/testkit"
)

// puts has PUTs and the feed meet over one key.
func puts(t *trial) {
	db := testkit.Postgres(t)
	g := onPostgres(t, db, lagRows)
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL(), Timeout: "10s", Lease: "12s"}
	t.install(g, s)
	f := t.start(g, instances, s)
	f.live()

	// What a PUT stores as its record is read before the commit.
	db.Exec(`CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE numbers SET v = v + 1000 WHERE id = NEW.id AND v < 1000; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON numbers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 7 AND NEW.v < 1000) EXECUTE FUNCTION late();`)
	if got := f.ins[0].Ask(http.MethodPut, "/row/7", `{"grp":0,"v":5}`); got.Code != http.StatusOK {
		f.Fatalf("a PUT is answered %v", got)
	}
	f.settled("a trigger has changed the row of a PUT as that committed", lagRows, one(redis), t.within(2*time.Second))

	db.Exec(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON numbers FOR EACH ROW WHEN (NEW.id = 8 AND NEW.v < 100) EXECUTE FUNCTION slow();`)
	// It lasts for longer than it takes until its guard is renewed.
	answer := f.ins[0].Begin(http.MethodPut, "/row/8", `{"grp":0,"v":9}`)
	events := 0
	for done := false; !done; events++ {
		select {
		case got := <-answer:
			f.Bound(got.Code == http.StatusOK, "a PUT that lasts while its key is told of %d times is answered %d", events, got.Code)
			done = true
		default:
			// As triggers write it, and as operators do.
			g.exec(t, `INSERT INTO hearth.feed (watch, data) SELECT id, '[{"id": 8, "grp": 0}]' FROM hearth.watch;`)
			if events%5 == 0 {
				f.ins[1].AskAdmin(http.MethodPost, "/api/invalidate", `{"keys":["row:8"]}`)
				g.exec(t, `INSERT INTO hearth.feed (watch, data) VALUES (-1, '["row"]');`)
			}
			f.rest(100 * time.Millisecond)
		}
	}
	f.settled("afterwards", lagRows, one(redis), t.within(2*time.Second))

	// A foreign change between the commit of a PUT and the feed's look at either.
	for n := range 20 * f.puts {
		id := 10 + n%50
		got := f.ins[n%len(f.ins)].Begin(http.MethodPut, fmt.Sprintf("/row/%d", id), fmt.Sprintf(`{"grp":0,"v":%d}`, 1000+n))
		g.exec(t, fmt.Sprintf("UPDATE numbers SET v = v + 100000 WHERE id = %d;", id))
		<-got
	}
	f.settled("after PUTs and changes of the same rows by others at the same time", lagRows, one(redis), t.within(2*time.Second))
}
