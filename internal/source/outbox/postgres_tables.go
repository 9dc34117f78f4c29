package outbox

import "slices"

// Tables implements dialect. Each statement leaves alone what is there, and asks for no
// right that only making it anew would need.
func (postgres) Tables() []string {
	return slices.Concat(postgresTables(), postgresDrain(), postgresSight())
}

func postgresTables() []string {
	return []string{
		lockTimeout,
		// Two at once would both find nothing and fail over each other's tables.
		`DO $hearth$ BEGIN
	PERFORM pg_catalog.pg_advisory_xact_lock(750661894);
	IF pg_catalog.to_regnamespace('hearth') IS NULL THEN CREATE SCHEMA hearth; END IF;
END $hearth$`,
		`DO $hearth$ BEGIN
	IF pg_catalog.to_regclass('hearth.watch') IS NULL THEN
		CREATE TABLE hearth.watch (id integer PRIMARY KEY, tab text NOT NULL, captured jsonb NOT NULL, filter jsonb NOT NULL,
			meanings jsonb NOT NULL, version integer NOT NULL);
	END IF;
	IF pg_catalog.to_regclass('hearth.feed') IS NULL THEN
		CREATE TABLE hearth.feed (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, watch integer NOT NULL, data jsonb, writer text,
			at timestamptz NOT NULL DEFAULT clock_timestamp())
			WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0, fillfactor = 100);
	END IF;
	IF pg_catalog.to_regclass('hearth.kept') IS NULL THEN
		CREATE TABLE hearth.kept (id bigint PRIMARY KEY, watch integer NOT NULL, data jsonb, writer text, at timestamptz NOT NULL,
			kept_at timestamptz NOT NULL DEFAULT clock_timestamp())
			WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
		CREATE INDEX kept_at ON hearth.kept (kept_at);
	END IF;
	IF pg_catalog.to_regclass('hearth.drain') IS NULL THEN
		CREATE TABLE hearth.drain (id integer PRIMARY KEY CHECK (id = 1), fleet text NOT NULL DEFAULT '', instance text NOT NULL DEFAULT '',
			beat bigint NOT NULL DEFAULT 0, server text NOT NULL DEFAULT '', at timestamptz NOT NULL DEFAULT clock_timestamp());
	END IF;
	INSERT INTO hearth.drain (id) VALUES (1) ON CONFLICT DO NOTHING;
END $hearth$`,
	}
}

// postgresDrain are the functions that read rows and take them away. They run with the
// rights of who calls them.
func postgresDrain() []string {
	return []string{
		// Behind rows that are deleted and not yet vacuumed an index leads at once to those
		// that are left, and a scan of the table does not. The planner, which has no statistics of
		// a table that is empty most of the time, may choose the scan.
		`CREATE OR REPLACE FUNCTION hearth.read(after bigint, most bigint)
	RETURNS TABLE (id bigint, watch integer, data jsonb, writer text, age float8)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $hearth$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT f.id, f.watch, f.data, f.writer, extract(epoch FROM clock_timestamp() - f.at)::float8
		FROM hearth.feed AS f WHERE f.id > after ORDER BY f.id LIMIT most;
END $hearth$`,
		// Nothing is lost when the server forgets it: the rows are read and handled once more.
		`CREATE OR REPLACE FUNCTION hearth.done(ids bigint[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $hearth$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	DELETE FROM hearth.feed AS f WHERE f.id = ANY (ids);
END $hearth$`,
		`CREATE OR REPLACE FUNCTION hearth.keep(ids bigint[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $hearth$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	WITH gone AS (DELETE FROM hearth.feed AS f WHERE f.id = ANY (ids) RETURNING f.id, f.watch, f.data, f.writer, f.at)
	INSERT INTO hearth.kept (id, watch, data, writer, at) SELECT g.id, g.watch, g.data, g.writer, g.at FROM gone AS g
		ON CONFLICT DO NOTHING;
END $hearth$`,
	}
}

// postgresSight are the functions for a row of our own, and for what a look and a beat have
// to know of the server.
func postgresSight() []string {
	return []string{
		// A row of our own: as in a trigger, its transaction has an id before the row has; see
		// bottom.
		`CREATE OR REPLACE FUNCTION hearth.tell(watch integer, data jsonb) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $hearth$
#variable_conflict use_variable
BEGIN
	PERFORM txid_current();
	INSERT INTO hearth.feed (watch, data) VALUES (tell.watch, tell.data);
END $hearth$`,
		`CREATE OR REPLACE FUNCTION hearth.bottom(OUT key text, OUT last bigint, OUT running bigint[])
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $hearth$
BEGIN
	key := concat_ws('/', to_regclass('hearth.feed')::oid, hearth.server(), pg_postmaster_start_time());
	SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END INTO last FROM hearth.feed_id_seq AS s;
	PERFORM txid_current();
	running := ARRAY(SELECT txid_snapshot_xip(txid_current_snapshot()));
END $hearth$`,
		// The timeline is that of the log which is written, known at once after a fail-over; the
		// control file has it only from the next checkpoint on. A hosted server may not tell.
		`CREATE OR REPLACE FUNCTION hearth.server() RETURNS text
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $hearth$
DECLARE
	system text := '';
	timeline text := '';
BEGIN
	BEGIN
		system := (SELECT s.system_identifier::text FROM pg_control_system() AS s);
	EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
	END;
	BEGIN
		timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
	EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function OR object_not_in_prerequisite_state THEN
	END;
	RETURN system || '/' || timeline;
END $hearth$`,
	}
}
