package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
)

// What the feed may cost.
const (
	keptMost  = 0.6              // of the writers' throughput, with 8 of them
	bulkMost  = 1.5              // times as long as without for a statement of many rows
	grownMost = 64 << 20         // bytes, of the leader
	slowMost  = 2.0              // times the 99th percentile of readers
	pollMost  = time.Millisecond // of a look at the outbox
)

// cost measures what the feed costs those who write, and who read, on a database that is
// as safe as in the field.
func cost(t *trial) {
	db := testkit.Postgres(t, testkit.OwnServer("fsync = on", "synchronous_commit = on", "full_page_writes = on", "autovacuum = on", "shared_buffers = 256MB",
		"max_wal_size = 4GB", "shared_preload_libraries = 'pg_stat_statements'", "pg_stat_statements.track = all"))
	g := onPostgres(t, db, lagRows)
	db.Exec(fmt.Sprintf(`CREATE EXTENSION pg_stat_statements;
CREATE TABLE plain (id BIGINT PRIMARY KEY, grp BIGINT NOT NULL, v BIGINT NOT NULL);
INSERT INTO plain SELECT n, n / %[1]d, 0 FROM generate_series(0, %[2]d) n;
TRUNCATE numbers; INSERT INTO numbers SELECT * FROM plain; INSERT INTO numbers SELECT n, -n, 0 FROM generate_series(%[2]d + 1, %[2]d + %[3]d) n;
CREATE INDEX plain_grp ON plain (grp); VACUUM ANALYZE plain; VACUUM ANALYZE numbers;`, groupSize, t.bulk-1, lagRows))
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL()}
	t.install(g, s)
	f := t.start(g, instances, s)
	f.live()
	c := &costs{fleet: f, db: db}
	c.single(1)
	c.single(8)
	c.many()
	c.million("one statement", fmt.Sprintf("UPDATE numbers SET v = v + 1 WHERE id < %d;", t.bulk))
	c.million("one transaction of statements of 1,000 rows each", fmt.Sprintf(
		"DO $$ BEGIN FOR i IN 0..%d LOOP UPDATE numbers SET v = v + 1 WHERE id BETWEEN i * 1000 AND i * 1000 + 999; END LOOP; END $$;", t.bulk/1000-1))
	c.dead()
}

// costs are measured of one fleet.
type costs struct {
	*fleet
	db *testkit.Database
}

// single compares clients that update single rows of a table that is watched and of one
// that is not, in turns.
func (c *costs) single(clients int) {
	var with, without, ratios []float64
	for range c.rounds {
		a, b := c.pgbench("plain", clients), c.pgbench("numbers", clients)
		without, with, ratios = append(without, a), append(with, b), append(ratios, b/a)
	}
	c.Figure(fmt.Sprintf("%d clients", clients), "%s updates/s without, %s with", spread(without, "%.0f"), spread(with, "%.0f"))
	text := fmt.Sprintf("with %d clients writers keep %s of their throughput", clients, spread(ratios, "%.2f"))
	if clients > 1 {
		c.Timed(median(ratios) >= keptMost, "%s, at least %.1f", text, keptMost)
	} else {
		c.Figure("", "%s", text)
	}
	c.empty()
}

// pgbench is how many single rows of a table are updated in a second.
func (c *costs) pgbench(table string, clients int) float64 {
	c.Helper()
	script := fmt.Sprintf("\\set id random(0, %d)\nUPDATE %s SET v = v + 1 WHERE id = :id;\n", min(c.bulk, 100_000)-1, table)
	ctx, cancel := context.WithTimeout(c.Context(), c.lasts+patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, testkit.NeedPostgres(c, "pgbench"), "--no-vacuum", "--protocol=prepared", "--file=-", "--client="+strconv.Itoa(clients),
		"--jobs="+strconv.Itoa(min(clients, 2)), "--time="+strconv.Itoa(int(c.lasts.Seconds())), c.db.URL())
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	_, text, found := strings.Cut(string(out), "tps = ")
	if err != nil || !found {
		c.Fatalf("pgbench: %v\n%s", err, out)
	}
	tps, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
	if err != nil {
		c.Fatal(err)
	}
	return tps
}

// many compares one statement that updates many rows, in turns.
func (c *costs) many() {
	n := min(c.bulk, 100_000)
	change := c.session()
	timed := func(table string) float64 {
		began := time.Now()
		if err := change(fmt.Sprintf("UPDATE %s SET v = v + 1 WHERE id < %d;", table, n)); err != nil {
			c.Fatal(err)
		}
		return float64(time.Since(began).Milliseconds())
	}
	var with, without, ratios []float64
	for range c.rounds + 1 {
		a, b := timed("plain"), timed("numbers")
		without, with, ratios = append(without, a), append(with, b), append(ratios, b/a)
		c.empty()
		c.db.Exec("VACUUM plain; VACUUM numbers; CHECKPOINT;")
	}
	c.Figure(fmt.Sprintf("%d rows", n), "%s ms without, %s ms with", spread(without[1:], "%.0f"), spread(with[1:], "%.0f"))
	c.Timed(median(ratios[1:]) <= bulkMost, "one UPDATE of %d rows takes %s times as long, at most %.1f", n, spread(ratios[1:], "%.2f"), bulkMost)
}

// million changes very many rows in one transaction, and looks at the leader's memory and
// at readers of other records.
func (c *costs) million(how, sql string) {
	c.db.Exec("VACUUM numbers; CHECKPOINT;")
	change := c.session()
	calm := c.readers(func() { c.rest(c.lasts) })
	leader := c.leader()
	if leader < 0 {
		c.Fatal("nobody leads")
	}
	before := c.resident(leader)
	most, drained := before, time.Duration(0)
	took := time.Duration(0)
	busy := c.readers(func() {
		stop := testkit.Meanwhile(c.trial, func(ctx context.Context) error {
			for testkit.Sleep(ctx, 5*time.Millisecond) {
				now, err := c.ins[leader].Process().Resident()
				if err != nil {
					return err
				}
				most = max(most, now)
			}
			return nil
		})
		began := time.Now()
		if err := change(sql); err != nil {
			c.Fatal(err)
		}
		took = time.Since(began)
		drained = c.empty()
		stop()
	})
	c.Figure(how, "%d rows in %v, drained %v later; readers' p99 %v before, %v meanwhile", c.bulk, took.Round(time.Millisecond), drained.Round(time.Millisecond),
		report.Brief(calm.Quantile(0.99)), report.Brief(busy.Quantile(0.99)))
	c.Timed(most-before <= grownMost, "… the leader grows by %d MiB, at most %d", (most-before)>>20, grownMost>>20)
	c.Timed(report.Ratio(busy.Quantile(0.99), calm.Quantile(0.99)) <= slowMost, "… readers keep their p99 within %.0f times: %.2f", slowMost, report.Ratio(busy.Quantile(0.99), calm.Quantile(0.99)))
}

// readers reads a few records that nobody changes from all instances, at a bearable rate,
// while something is done, and returns how long answers took.
func (c *costs) readers(do func()) *report.Latencies {
	c.Helper()
	var addrs []string
	for _, in := range c.ins {
		addrs = append(addrs, in.Public)
	}
	all := load.Connect(c, addrs, 1, c.seed)
	end := all.Begin(c, func(ctx context.Context, r *load.Client) error {
		for testkit.Sleep(ctx, time.Millisecond) {
			if err := r.Ask("/row/" + strconv.Itoa(c.bulk+r.Rand.IntN(lagRows))); err != nil {
				return err
			}
		}
		return nil
	})
	do()
	end()
	total := all.Total()
	all.Close()
	return &total.Times
}

func (c *costs) resident(i int) int64 {
	c.Helper()
	n, err := c.ins[i].Process().Resident()
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// empty waits until nothing of others waits to be drained, and returns how long.
func (c *costs) empty() time.Duration {
	c.Helper()
	took, good := c.await(5*patience, func() bool { return c.ground.count(c.trial, c.ground.pending) == 0 })
	if !good {
		c.Fatalf("waiting %v in vain: the outbox is drained", 5*patience)
	}
	return took
}

// dead fills the outbox with rows that are gone but cannot be vacuumed, and times what
// looks at it then.
func (c *costs) dead() {
	holds, err := c.ground.shell()
	if err != nil {
		c.Fatal(err)
	}
	defer holds.Close()
	if _, err := holds.Do("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM hearth.feed;"); err != nil {
		c.Fatal(err)
	}
	polls := func() (text string, mean, most time.Duration) {
		c.db.Exec("SELECT pg_stat_statements_reset();")
		change := c.session()
		for n := range 200 {
			if err := change(fmt.Sprintf("UPDATE numbers SET v = v + 1 WHERE id = %d;", n%lagRows)); err != nil {
				c.Fatal(err)
			}
			c.rest(c.pace)
		}
		c.rest(c.lasts)
		for _, row := range c.db.Query(`SELECT calls, round(mean_exec_time::numeric, 4), round(max_exec_time::numeric, 4), regexp_replace(left(query, 150), '\s+', ' ', 'g')
FROM pg_stat_statements WHERE query ~* 'SELECT.*(hearth\.feed|hearth\.read)' AND query !~* 'count\(' AND query !~ 'pg_stat' ORDER BY calls DESC LIMIT 1`) {
			a, _ := strconv.ParseFloat(row[1], 64)
			b, _ := strconv.ParseFloat(row[2], 64)
			return fmt.Sprintf("%s looks, %s ms on average, %s ms at most (%s)", row[0], row[1], row[2], row[3]), time.Duration(a * 1e6), time.Duration(b * 1e6)
		}
		c.Fatal("pg_stat_statements has no look at the outbox")
		return "", 0, 0
	}
	text, _, _ := polls()
	c.Figure("an outbox that is empty", "%s", text)
	began := time.Now()
	c.db.Exec(fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP UPDATE numbers SET v = v + 1 WHERE id = i %% %d; IF i %% 1000 = 0 THEN COMMIT; END IF; END LOOP; END $$;", c.dying, c.bulk))
	c.empty()
	c.Figure("dead rows", "%d, made and drained in %v; %s are left as they are for an open transaction", c.dying, time.Since(began).Round(time.Millisecond),
		c.db.Text("SELECT n_dead_tup FROM pg_stat_user_tables WHERE schemaname = 'hearth' AND relname = 'feed'"))
	text, mean, _ := polls()
	c.Figure("under dead rows", "%s", text)
	c.Timed(mean < pollMost, "with %d dead rows under an open transaction a look takes less than %v: %v", c.dying, pollMost, mean)
}

// median of some figures.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// spread is the median of some figures, and the least and the most.
func spread(all []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+" to "+format+")", median(all), slices.Min(all), slices.Max(all))
}
