package main

import (
	"fmt"
	"strconv"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
)

// observer counts queries in the database. The function observe numbers each one with a
// sequence, which no rollback takes back, makes it last as long as pace says, and keeps
// its interval; how many ran at the same time is computed from the intervals, so
// counting costs the queries no lock that they would wait for.
type observer struct {
	tb testkit.TB
	db *testkit.Database
}

// Records have the ids 1 to lastRecord, and those below 0 are for greetings. Pages are
// written to; the queries for them are not counted.
const lastRecord = 20_000

var schema = `
CREATE TABLE pace (delay float NOT NULL);
INSERT INTO pace VALUES (0);
CREATE SEQUENCE stamps;
CREATE UNLOGGED TABLE journal (stamp bigint NOT NULL, ids bigint[] NOT NULL, began timestamptz NOT NULL, ended timestamptz NOT NULL);
CREATE UNLOGGED TABLE records (id bigint PRIMARY KEY, v bigint NOT NULL);
INSERT INTO records SELECT n, n FROM generate_series(-10, ` + strconv.Itoa(lastRecord) + `) n;
CREATE UNLOGGED TABLE pages (id bigint PRIMARY KEY, v bigint NOT NULL);
INSERT INTO pages SELECT n, 0 FROM generate_series(-10, -1) n;

CREATE FUNCTION observe(wanted bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
	stamp bigint := nextval('stamps');
	delay float := (SELECT p.delay FROM pace p);
BEGIN
	IF delay > 0 THEN
		PERFORM pg_sleep(delay);
	END IF;
	INSERT INTO journal VALUES (stamp, wanted, began, clock_timestamp());
	RETURN stamp;
END $$;

CREATE FUNCTION load_many(wanted bigint[]) RETURNS TABLE (id bigint, v bigint, stamp bigint) LANGUAGE plpgsql AS $$
BEGIN
	stamp := observe(wanted);
	RETURN QUERY SELECT r.id, r.v, stamp FROM records r WHERE r.id = ANY (wanted);
END $$;
`

// reset forgets all queries so far, and makes each of those to come last so long.
func (o observer) reset(last time.Duration) {
	o.quiet()
	o.db.Exec(fmt.Sprintf("TRUNCATE journal; ALTER SEQUENCE stamps RESTART; UPDATE pace SET delay = %v", last.Seconds()))
}

// blank makes so many pages, all of version 0.
func (o observer) blank(pages int) {
	o.db.Exec(fmt.Sprintf("INSERT INTO pages SELECT n, 0 FROM generate_series(1, %d) n ON CONFLICT (id) DO UPDATE SET v = 0", pages))
}

// quiet waits until no query of an instance runs.
func (o observer) quiet() {
	testkit.Eventually(o.tb, load.AnswerWithin, "queries end when nobody asks", func() bool {
		return o.db.Int("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hearth' AND state <> 'idle'") == 0
	})
}

// work is what the database had to do since the last reset, whatever the instances
// believe.
type work struct {
	begun int64 // queries
	ended int64 // of them; the others were cancelled
	peak  int64 // most at the same time
	ids   int64 // different ones, in all queries
	most  int64 // queries for one id
}

// An end and a beginning in the same microsecond count as at the same time.
const summary = `
WITH steps AS (SELECT began AS at, 1 AS step FROM journal UNION ALL SELECT ended, -1 FROM journal),
	depths AS (SELECT sum(step) OVER (ORDER BY at, step DESC ROWS UNBOUNDED PRECEDING) AS depth FROM steps),
	shares AS (SELECT count(*) AS n FROM journal, unnest(ids) AS id GROUP BY id)
SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM stamps),
	(SELECT count(*) FROM journal),
	(SELECT coalesce(max(depth), 0) FROM depths),
	(SELECT count(*) FROM shares),
	(SELECT coalesce(max(n), 0) FROM shares)`

// work waits until nothing runs and adds up.
func (o observer) work() work {
	o.quiet()
	row := o.db.Query(summary)[0]
	return work{begun: o.number(row[0]), ended: o.number(row[1]), peak: o.number(row[2]), ids: o.number(row[3]), most: o.number(row[4])}
}

// number reads an integer of an answer.
func (o observer) number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		o.tb.Fatalf("reading what PostgreSQL answers: %v", err)
	}
	return n
}

// intervals are the times between the beginnings of one query and the next, from this
// stamp on.
func (o observer) intervals(stamp int64) *report.Latencies {
	all := &report.Latencies{}
	for _, row := range o.db.Query(fmt.Sprintf(`SELECT (extract(epoch FROM began - before) * 1e6)::bigint
		FROM (SELECT began, lag(began) OVER (ORDER BY began) AS before FROM journal WHERE stamp >= %d) j WHERE before IS NOT NULL`, stamp)) {
		all.Add(time.Duration(o.number(row[0])) * time.Microsecond)
	}
	return all
}

// queries tells of each query which ids it was for, and when it ran.
func (o observer) queries() (all []string) {
	for _, row := range o.db.Query(`SELECT cardinality(ids), ids[1], ids[cardinality(ids)],
		round(extract(epoch FROM began - min(began) OVER ()) * 1e3), round(extract(epoch FROM ended - min(began) OVER ()) * 1e3)
		FROM journal ORDER BY began LIMIT 20`) {
		all = append(all, fmt.Sprintf("%s ids, %s to %s, from %s ms to %s ms", row[0], row[1], row[2], row[3], row[4]))
	}
	return all
}
