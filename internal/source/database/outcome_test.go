package database_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// What the courier does with the next COMMIT.
const (
	deliver    int32 = iota
	loseAnswer       // the server commits, the client does not hear of it
	loseCommit       // the server hears neither of COMMIT nor that the client has gone
)

// courier stands between clients and a PostgreSQL server and loses what it is
// told to.
type courier struct {
	to    string
	fate  atomic.Int32
	held  chan net.Conn // the server's side of connections whose COMMIT was lost
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

// newCourier returns a courier to pg and the URL of the database behind it.
func newCourier(t *testing.T, pg *testkit.Database) (*courier, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &courier{to: pg.Addr(), held: make(chan net.Conn, 1)}
	c.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.carry(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c, strings.Replace(pg.URL(), pg.Addr(), l.Addr().String(), 1)
}

func (c *courier) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	c.mu.Lock()
	c.conns = append(c.conns, client, server)
	c.mu.Unlock()
	var mute atomic.Bool
	c.wg.Go(func() {
		defer client.Close()
		for buf := make([]byte, 4096); ; {
			n, err := server.Read(buf)
			if err != nil || mute.Load() {
				return
			}
			_, _ = client.Write(buf[:n])
		}
	})
	in := bufio.NewReader(client)
	for first := true; ; first = false {
		msg, err := message(in, first)
		if err != nil {
			_ = server.Close()
			return
		}
		if strings.EqualFold(string(msg), "Q\x00\x00\x00\x0bcommit\x00") {
			switch c.fate.Swap(deliver) {
			case loseAnswer:
				mute.Store(true)
			case loseCommit:
				c.held <- server
				return
			}
		}
		_, _ = server.Write(msg)
	}
}

// message reads a message of a client. The first has no byte for its type.
func message(in *bufio.Reader, first bool) ([]byte, error) {
	head := make([]byte, 5)
	if first {
		head = head[:4]
	}
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
	_, err := io.ReadFull(in, rest)
	return append(head, rest...), err
}

// renamed is a resource of the demo's table, and what its record 1 is called.
func renamed(t *testing.T, db *database.DB) source.Records {
	return records(t, db, database.Spec{
		Name: "user", Params: []param.Param{{Name: "id", Type: "int"}},
		// Behind WITH, so that nobody minds when it finds no row.
		Select: `SELECT name FROM users WHERE id = {id}`, Upsert: `WITH one AS (SELECT 1) UPDATE users SET name = {body.name} WHERE id = {id}`,
	})
}

const nameOfOne = `SELECT name FROM users WHERE id = 1`

func rename(t *testing.T, r source.Records, id int64, name string) source.Change {
	t.Helper()
	c, err := r.Put(t.Context(), source.Args{id}, bodyOf(fmt.Sprintf(`{"name":%q}`, name)))
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return c
}

// lost commits c and checks that the outcome is unknown.
func lost(t *testing.T, c source.Change) {
	t.Helper()
	if err := c.Commit(t.Context()); !errors.Is(err, source.ErrUnknownOutcome) || !errors.Is(err, source.ErrDown) {
		t.Fatalf("Commit: got %v, want ErrUnknownOutcome and ErrDown", err)
	}
}

// becomesOver asks until the answer is that c is over, and then once more.
func becomesOver(t *testing.T, c source.Change) {
	t.Helper()
	var over bool
	var err error
	testkit.Eventually(t, time.Minute, "the transaction is over", func() bool {
		over, err = c.Over(t.Context())
		return over
	})
	if again, also := c.Over(t.Context()); err != nil || !again || also != nil {
		t.Errorf("Over: got %v, and then %t, %v, want true", err, again, also)
	}
}

// runs checks that c is not over.
func runs(t *testing.T, c source.Change) {
	t.Helper()
	if over, err := c.Over(t.Context()); over || err != nil {
		t.Errorf("Over of a transaction in progress: got %t, %v", over, err)
	}
}

// testOver ends changes in the ways whose outcome is known.
func testOver(t *testing.T, newURL func(testing.TB) string) {
	r := records(t, open(t, engine.Config{URL: newURL(t), Init: schema}), person())
	f := func(how string, end func(source.Change)) {
		t.Helper()
		c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		runs(t, c)
		end(c)
		if over, err := c.Over(t.Context()); !over || err != nil {
			t.Errorf("Over after %s: got %t, %v", how, over, err)
		}
	}
	f("a rollback", source.Change.Rollback)
	f("a refused commit", func(c source.Change) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Commit(ended); err == nil {
			t.Error("Commit on a context that is over: got no error")
		}
	})
	f("a commit", func(c source.Change) {
		if err := c.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The pools below have one connection: Over needs it, so the lost one has to
// have been given back.

func TestPostgresCommitWithoutAnswer(t *testing.T) {
	pg := testkit.Postgres(t)
	way, addr := newCourier(t, pg)
	r := renamed(t, open(t, engine.Config{URL: addr, Demo: true, MaxConns: 1}))
	c := rename(t, r, 1, "committed")
	way.fate.Store(loseAnswer)
	lost(t, c)
	becomesOver(t, c)
	if got := pg.Text(nameOfOne); got != "committed" {
		t.Errorf("got the name %q, want that the change stands", got)
	}
}

func TestPostgresCommitThatNeverArrived(t *testing.T) {
	pg := testkit.Postgres(t)
	way, addr := newCourier(t, pg)
	r := renamed(t, open(t, engine.Config{URL: addr, Demo: true, MaxConns: 1}))
	c := rename(t, r, 1, "not committed")
	way.fate.Store(loseCommit)
	lost(t, c)
	runs(t, c)
	_ = (<-way.held).Close()
	becomesOver(t, c)
	if got := pg.Text(nameOfOne); got != "张三" {
		t.Errorf("got the name %q, want that nothing was changed", got)
	}

	c = rename(t, r, 5000, "nobody has this id")
	way.fate.Store(loseCommit)
	lost(t, c)
	if over, err := c.Over(t.Context()); !over || err != nil {
		t.Errorf("Over of a transaction that wrote nothing: got %t, %v", over, err)
	}
}

// TestPostgresCommitThatHangs has a deferred trigger that waits for a lock and
// cannot be cancelled, as a COMMIT that waits for a disk or for a standby.
func TestPostgresCommitThatHangs(t *testing.T) {
	pg := testkit.Postgres(t)
	// The driver may take its time to close a connection whose server does not.
	r := renamed(t, open(t, engine.Config{URL: pg.URL(), Demo: true, MaxConns: 2}))
	load(t, r, int64(1))
	pg.Exec(`CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN LOOP
			BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; EXCEPTION WHEN query_canceled THEN NULL; END;
		END LOOP; END $$;
		CREATE CONSTRAINT TRIGGER hanging AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang()`)
	holder, err := pgx.Connect(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close(context.Background()) }()
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	c := rename(t, r, 1, "late")
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	outcome := make(chan error, 1)
	go func() { outcome <- c.Commit(ctx) }()
	testkit.Eventually(t, time.Minute, "COMMIT hangs", func() bool {
		return pg.Int(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 1
	})
	giveUp()
	if err := <-outcome; !errors.Is(err, source.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) || errors.Is(err, source.ErrDown) {
		t.Errorf("Commit: got %v, want ErrUnknownOutcome by the caller's doing", err)
	}
	runs(t, c)
	if got := pg.Text(nameOfOne); got != "张三" {
		t.Errorf("got the name %q before COMMIT has ended", got)
	}
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_unlock(1)"); err != nil {
		t.Fatal(err)
	}
	becomesOver(t, c)
	if got := pg.Text(nameOfOne); got != "late" {
		t.Errorf("got the name %q, want that the change took effect after all", got)
	}
}

func TestPostgresThatTellsNothing(t *testing.T) {
	pg := testkit.Postgres(t)
	const role = "hearth_without_means"
	t.Cleanup(func() { pg.Exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	pg.Exec(`CREATE ROLE ` + role + ` LOGIN; CREATE TABLE users (id integer PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'x');
		GRANT ALL ON users TO ` + role + `; REVOKE EXECUTE ON FUNCTION txid_status(bigint) FROM PUBLIC`)
	way, addr := newCourier(t, pg)
	u, err := url.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	db := open(t, engine.Config{URL: u.String(), MaxConns: 1})
	r := renamed(t, db)
	if got := put(t, r, `{"name":"y"}`, int64(1)); got != `{"name":"y"}` {
		t.Errorf("Put: got %s", got)
	}
	c := rename(t, r, 1, "z")
	way.fate.Store(loseAnswer)
	lost(t, c)
	if over, err := c.Over(t.Context()); over || !errors.Is(err, source.ErrNoOutcome) || errors.Is(err, source.ErrDown) {
		t.Errorf("Over: got %t, %v, want ErrNoOutcome", over, err)
	}
	pg.Exec(`GRANT EXECUTE ON FUNCTION txid_status(bigint) TO PUBLIC`)
	r = renamed(t, open(t, engine.Config{URL: u.String(), MaxConns: 1}))
	c = rename(t, r, 1, "z")
	pg.Exec(`REVOKE EXECUTE ON FUNCTION txid_status(bigint) FROM PUBLIC`)
	way.fate.Store(loseAnswer)
	lost(t, c)
	if over, err := c.Over(t.Context()); over || !errors.Is(err, source.ErrNoOutcome) || errors.Is(err, source.ErrDown) {
		t.Errorf("Over once the right is gone: got %t, %v, want ErrNoOutcome", over, err)
	}
}

// TestPostgresModes runs writes in the ways of execution that a pooler needs.
func TestPostgresModes(t *testing.T) {
	pg := testkit.Postgres(t)
	for _, mode := range []string{"simple_protocol", "exec", "describe_exec", "cache_describe", "cache_statement"} {
		way, addr := newCourier(t, pg)
		r := renamed(t, open(t, engine.Config{URL: addr + "&default_query_exec_mode=" + mode, Demo: true, MaxConns: 1}))
		for range 2 {
			if got, want := put(t, r, `{"name":"`+mode+`"}`, int64(1)), `{"name":"`+mode+`"}`; got != want {
				t.Errorf("%s: got %s", mode, got)
			}
		}
		c := rename(t, r, 1, "not committed")
		way.fate.Store(loseCommit)
		lost(t, c)
		runs(t, c)
		_ = (<-way.held).Close()
		becomesOver(t, c)
	}
}
