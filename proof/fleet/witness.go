package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hearth/bench/process"
)

// witness counts queries in the database. The function observe numbers each one with a
// sequence, which no rollback takes back, makes it last as long as pace says, and keeps
// its interval; how many ran at the same time is computed from the intervals, so
// counting costs the queries no lock that they would wait for.
type witness struct{ db *process.Postgres }

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

func (w witness) install(ctx context.Context) error {
	_, err := w.db.Query(ctx, schema)
	return err
}

// reset forgets all queries so far, and makes each of those to come last so long.
func (w witness) reset(ctx context.Context, last time.Duration) error {
	if err := w.quiet(ctx); err != nil {
		return err
	}
	_, err := w.db.Query(ctx, fmt.Sprintf("TRUNCATE journal; ALTER SEQUENCE stamps RESTART; UPDATE pace SET delay = %v", last.Seconds()))
	return err
}

// blank makes so many pages, all of version 0.
func (w witness) blank(ctx context.Context, pages int) error {
	_, err := w.db.Query(ctx, fmt.Sprintf("INSERT INTO pages SELECT n, 0 FROM generate_series(1, %d) n ON CONFLICT (id) DO UPDATE SET v = 0", pages))
	return err
}

// quiet waits until no query of an instance runs.
func (w witness) quiet(ctx context.Context) error {
	const running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hearth' AND state <> 'idle'"
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, errors.New("queries go on although nobody asks"))
	defer cancel()
	for {
		n, err := w.numbers(ctx, running)
		if err != nil || n[0] == 0 {
			return err
		}
		if !pause(ctx, 5*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// account is what the database had to do since the last reset.
type account struct {
	begun int64 // queries
	ended int64 // of them; the rest was cancelled
	peak  int64 // most at the same time
	ids   int64 // different ones, in all queries
	most  int64 // queries for one id
}

// An end and a beginning in the same microsecond count as at the same time.
const accounting = `
WITH steps AS (SELECT began AS at, 1 AS step FROM journal UNION ALL SELECT ended, -1 FROM journal),
	depths AS (SELECT sum(step) OVER (ORDER BY at, step DESC ROWS UNBOUNDED PRECEDING) AS depth FROM steps),
	shares AS (SELECT count(*) AS n FROM journal, unnest(ids) AS id GROUP BY id)
SELECT (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM stamps),
	(SELECT count(*) FROM journal),
	(SELECT coalesce(max(depth), 0) FROM depths),
	(SELECT count(*) FROM shares),
	(SELECT coalesce(max(n), 0) FROM shares)`

// account waits until nothing runs and adds up.
func (w witness) account(ctx context.Context) (account, error) {
	if err := w.quiet(ctx); err != nil {
		return account{}, err
	}
	n, err := w.numbers(ctx, accounting)
	if err != nil {
		return account{}, err
	}
	return account{begun: n[0], ended: n[1], peak: n[2], ids: n[3], most: n[4]}, nil
}

// intervals are the times between the beginnings of one query and the next, from this
// stamp on.
func (w witness) intervals(ctx context.Context, stamp int64) (*latencies, error) {
	rows, err := w.db.Query(ctx, fmt.Sprintf(`SELECT (extract(epoch FROM began - before) * 1e6)::bigint
		FROM (SELECT began, lag(began) OVER (ORDER BY began) AS before FROM journal WHERE stamp >= %d) j WHERE before IS NOT NULL`, stamp))
	if err != nil {
		return nil, err
	}
	var all latencies
	for _, row := range rows {
		n, err := strconv.ParseInt(row[0], 10, 64)
		if err != nil {
			return nil, err
		}
		all.add(time.Duration(n) * time.Microsecond)
	}
	return &all, nil
}

// queries tells of each query which ids it was for, and when it ran.
func (w witness) queries(ctx context.Context) (all []string, err error) {
	rows, err := w.db.Query(ctx, `SELECT cardinality(ids), ids[1], ids[cardinality(ids)],
		round(extract(epoch FROM began - min(began) OVER ()) * 1e3), round(extract(epoch FROM ended - min(began) OVER ()) * 1e3)
		FROM journal ORDER BY began LIMIT 20`)
	for _, row := range rows {
		all = append(all, fmt.Sprintf("%s ids, %s to %s, from %s ms to %s ms", row[0], row[1], row[2], row[3], row[4]))
	}
	return all, err
}

// numbers runs a query that answers with one row of integers.
func (w witness) numbers(ctx context.Context, sql string) ([]int64, error) {
	rows, err := w.db.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("asking PostgreSQL %q: %d rows, want 1", sql, len(rows))
	}
	all := make([]int64, len(rows[0]))
	for i, text := range rows[0] {
		if all[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, fmt.Errorf("asking PostgreSQL %q: %w", sql, err)
		}
	}
	return all, nil
}

// pause waits for d; false: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
