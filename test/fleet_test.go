package test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// A fleet is several instances over one Redis and one PostgreSQL. Its tests
// force the order of events from outside: the database keeps a load back
// between its SELECT and the fill, or a write at a locked row, and an
// instance's way to Redis can be closed. So each holds whatever the machine's
// speed is.

// fleetConfig is what every instance of a fleet is started with.
const fleetConfig = `
[server]
drain = "0s"

[memory]
budget = "16MiB"

[log]
level = "warn"

[[resource]]
name = "user"
path = "/user/{id:int}"
key = "user:{id}"
select = "SELECT id, name FROM record({id})"
select_many = "SELECT r.id, r.name FROM users u, record(u.id) r WHERE u.id = ANY({id})"
upsert = "INSERT INTO users (id, name) VALUES ({id}, {body.name}) ON CONFLICT (id) DO UPDATE SET name = excluded.name"
delete = "DELETE FROM users WHERE id = {id}"
ttl = { cold = "1h", hot = "1h", missing = "30s", stale = "10m" }
`

// fleetSchema makes the table and the function that every select goes
// through. It knows a load from the read-back of a write by the transaction,
// which has changed nothing. A load is counted by a sequence, which no
// rollback and no kill undoes; waits at the first barrier before it reads
// the row; fails if it is told to; and waits with what it has read at the
// record's barrier.
const fleetSchema = `
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE failing (every int NOT NULL);
-- Unlogged: to log a number would make its transaction one that has changed something.
CREATE UNLOGGED SEQUENCE loads MINVALUE 0;
SELECT nextval('loads');
CREATE FUNCTION record(want bigint) RETURNS SETOF users LANGUAGE plpgsql AS $$
DECLARE
	found users[];
	is_load boolean := pg_current_xact_id_if_assigned() IS NULL;
	number bigint;
BEGIN
	IF is_load THEN
		number := nextval('loads');
		PERFORM pg_advisory_xact_lock_shared(1, 0);
		IF EXISTS (SELECT FROM failing WHERE number % every = 0) THEN
			RAISE EXCEPTION 'told to fail';
		END IF;
	END IF;
	found := ARRAY(SELECT u FROM users u WHERE u.id = want);
	IF is_load THEN
		PERFORM pg_advisory_xact_lock_shared(2, want::int);
	END IF;
	RETURN QUERY SELECT * FROM unnest(found);
END $$;
`

// fleet is what the instances of one test share.
type fleet struct {
	t     *testing.T
	redis *testkit.RedisServer
	pg    *testkit.Database
	db    *pgxpool.Pool // the test's own sessions
	env   []string
}

// timing is how long loads and waits of a fleet may take.
type timing struct{ timeout, lease, wait time.Duration }

// patient is for tests in which no time limit may be met, brisk for those in
// which a lease or a guard has to expire.
var (
	patient = timing{timeout: 20 * time.Second, lease: 25 * time.Second, wait: 20 * time.Second}
	brisk   = timing{timeout: 2500 * time.Millisecond, lease: 3 * time.Second, wait: 6 * time.Second}
)

func newFleet(t *testing.T, limits timing, pg *testkit.Database, env ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, redis: testkit.Redis(t), pg: pg}
	f.env = append([]string{
		"HEARTH_DATABASE_URL=" + pg.URL(),
		"HEARTH_DATABASE_TIMEOUT=" + limits.timeout.String(),
		"HEARTH_LOAD_LEASE=" + limits.lease.String(),
		"HEARTH_LOAD_WAIT=" + limits.wait.String(),
	}, env...)
	var err error
	if f.db, err = pgxpool.New(t.Context(), pg.URL()+"&application_name=test&pool_max_conns=20"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	pg.Exec(fleetSchema)
	return f
}

// start starts n instances and returns when all are ready.
func (f *fleet) start(n int) []*launch.Instance {
	f.t.Helper()
	all := make([]*launch.Instance, n)
	for i := range all {
		all[i] = launch.Start(f.t, fleetConfig, append(f.env, "HEARTH_REDIS_URL="+f.redis.URL())...)
	}
	for _, in := range all {
		in.AwaitReady()
	}
	return all
}

// startBehind starts one instance whose way to Redis the test can close.
func (f *fleet) startBehind(w *way) *launch.Instance {
	f.t.Helper()
	return launch.Ready(f.t, fleetConfig, append(f.env, "HEARTH_REDIS_URL="+w.URL())...)
}

// in is the fleet for a part of its test: what the part closes is open again
// at the part's end.
func (f *fleet) in(t *testing.T) *fleet {
	part := *f
	part.t = t
	return &part
}

// exec runs a statement in the database itself.
func (f *fleet) exec(sql string, args ...any) {
	f.t.Helper()
	if _, err := f.db.Exec(context.Background(), sql, args...); err != nil {
		f.t.Fatalf("asking PostgreSQL %q: %v", sql, err)
	}
}

func (f *fleet) count(sql string, args ...any) int {
	f.t.Helper()
	var n int
	if err := f.db.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		f.t.Fatalf("asking PostgreSQL %q: %v", sql, err)
	}
	return n
}

// loads is how many loads have begun in the database.
func (f *fleet) loads() int {
	f.t.Helper()
	return f.count("SELECT last_value FROM loads")
}

// store makes name the record's in the database itself.
func (f *fleet) store(id int, name string) {
	f.t.Helper()
	f.exec("INSERT INTO users VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name", id, name)
}

// The barriers of fleetSchema: before a load reads (barrier 1, key 0), and
// when it has read the record (barrier 2, the record's id as key).
const (
	beforeReading = 1
	havingRead    = 2
)

// hold closes a barrier and returns what opens it again.
func (f *fleet) hold(barrier, key int) (release func()) {
	f.t.Helper()
	return f.session("SELECT pg_advisory_lock($1, $2)", "SELECT pg_advisory_unlock($1, $2)", barrier, key)
}

// lockRow keeps everybody else from changing a record until release.
func (f *fleet) lockRow(id int) (release func()) {
	f.t.Helper()
	return f.session("BEGIN; SELECT FROM users WHERE id = "+fmt.Sprint(id)+" FOR UPDATE", "ROLLBACK")
}

// session runs a statement in a session of its own, and another one there when
// undo is called or the test ends, whichever comes first.
func (f *fleet) session(do, undo string, args ...any) func() {
	f.t.Helper()
	conn, err := f.db.Acquire(context.Background())
	must(f.t, err)
	if _, err := conn.Exec(context.Background(), do, args...); err != nil {
		f.t.Fatalf("asking PostgreSQL %q: %v", do, err)
	}
	var once sync.Once
	release := func() {
		once.Do(func() {
			_, err := conn.Exec(context.Background(), undo, args...)
			conn.Release()
			if err != nil {
				f.t.Errorf("asking PostgreSQL %q: %v", undo, err)
			}
		})
	}
	f.t.Cleanup(release)
	return release
}

// held is how many loads stand at a barrier.
func (f *fleet) held(barrier, key int) int {
	f.t.Helper()
	return f.count(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = $1 AND objid = $2
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, barrier, key)
}

func (f *fleet) awaitHeld(id, n int) {
	f.t.Helper()
	await(f.t, fmt.Sprintf("%d loads of record %d hold what they have read", n, id), func() bool {
		return f.held(havingRead, id) == n
	})
}

// awaitWriters returns when n writes of instances wait for a locked row.
func (f *fleet) awaitWriters(n int) {
	f.t.Helper()
	await(f.t, fmt.Sprintf("%d writes wait for the row", n), func() bool {
		return f.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = 'hearth' AND wait_event_type = 'Lock' AND query LIKE 'INSERT%'`) == n
	})
}

// inRedis is what stands in a record's key, "" if nothing does.
func (f *fleet) inRedis(id int) string {
	f.t.Helper()
	return f.redis.Text("GET", keyOf(id))
}

func keyOf(id int) string { return fmt.Sprintf("user:%d", id) }

func pathOf(id int) string { return fmt.Sprintf("/user/%d", id) }

// recordOf is the record as Redis holds it.
func recordOf(id int, name string) string { return fmt.Sprintf(`{"id":%d,"name":%q}`, id, name) }

// nameOf is the body of a PUT.
func nameOf(name string) string { return fmt.Sprintf(`{"name":%q}`, name) }

// tells reports whether an answer is this record, from whatever tier.
func tells(r launch.Reply, id int, name string) bool {
	return r.Err == nil && r.Code == http.StatusOK && strings.HasPrefix(r.Body, `{"user":`+recordOf(id, name)+`,"source":"`)
}

// loaded reports whether an answer is this record, and was loaded for it.
func loaded(r launch.Reply, id int, name string) bool {
	return tells(r, id, name) && strings.HasSuffix(r.Body, `"source":"db"}`)
}

// missing reports whether an answer says that there is no such record.
func missing(r launch.Reply) bool { return r.Err == nil && r.Code == http.StatusNotFound }

// mustTell reads a record on each instance, more than once, since the first
// reads of a record are answered by different tiers.
func mustTell(t *testing.T, when string, all []*launch.Instance, id int, name string) {
	t.Helper()
	for i, in := range all {
		for n := range 3 {
			if got := in.Get(pathOf(id)); !tells(got, id, name) {
				t.Errorf("%s: read %d on instance %d is answered %v, want the name %q", when, n, i, got, name)
			}
		}
	}
}

// mustPut writes a record through an instance.
func mustPut(t *testing.T, in *launch.Instance, id int, name string) {
	t.Helper()
	if got := in.Ask(http.MethodPut, pathOf(id), nameOf(name)); !loaded(got, id, name) {
		t.Fatalf("PUT of the name %.40q is answered %.200v", name, got)
	}
}

// bringIntoMemory reads a record on each instance until its memory answers.
func bringIntoMemory(t *testing.T, all []*launch.Instance, id int) {
	t.Helper()
	for _, in := range all {
		await(t, "memory has the record", func() bool { return in.Get(pathOf(id)).FromMemory() })
	}
}

// way is an instance's way to Redis. While it is closed the instance's
// commands wait on it, in their order.
type way struct {
	*testkit.Script
	closed sync.RWMutex
}

func (f *fleet) newWay() *way {
	f.t.Helper()
	w := &way{}
	w.Script = testkit.ScriptedRedis(f.t, func(c *testkit.Conn) {
		c.Forward(testkit.Forwarding{To: f.redis.Addr(), Command: func([]string) bool {
			w.closed.RLock()
			defer w.closed.RUnlock()
			return false
		}})
	})
	return w
}

// shut closes the way; open opens it again, at the end of the test at the latest.
func (w *way) shut(t *testing.T) (open func()) {
	w.closed.Lock()
	open = sync.OnceFunc(w.closed.Unlock)
	t.Cleanup(open)
	return open
}
