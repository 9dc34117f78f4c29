package database_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// byID is a read-only resource with the statement text.
func byID(text string) database.Spec {
	return database.Spec{Name: "r", Params: []param.Param{{Name: "id", Type: "int"}}, Select: text}
}

// valuesOf returns a function that checks the JSON of an expression's value.
func valuesOf(t *testing.T, init ...string) func(expression, want string) {
	db := open(t, engine.Config{URL: testkit.Postgres(t).URL(), MaxConns: 1, Init: init})
	return func(expression, want string) {
		t.Helper()
		r := records(t, db, byID(`SELECT `+expression+` AS v WHERE {id} = 1`))
		if got, want := load(t, r, int64(1)), `{"v":`+want+`}`; got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

func TestPostgresValues(t *testing.T) {
	f := valuesOf(t)
	f(`NULL`, `null`)
	f(`32767::int2`, `32767`)
	f(`9007199254740993::int8`, `9007199254740993`)
	f(`(-9223372036854775808)::int8`, `-9223372036854775808`)
	f(`0.1::float4`, `0.1`)
	f(`0.30000000000000004::float8`, `0.30000000000000004`)
	f(`1e300::float8`, `1e+300`)
	f(`1e-7::float8`, `1e-07`)
	f(`'-0'::float8`, `-0`)
	f(`'NaN'::float8`, `null`)
	f(`'-Infinity'::float4`, `null`)
	f(`'NaN'::numeric`, `null`)
	f(`'Infinity'::numeric`, `null`)
	f(`123456789012345678901234567890.1234500::numeric`, `123456789012345678901234567890.1234500`)
	f(`true`, `true`)
	f(`false`, `false`)
	f(`'<a href="x">&'::text`, `"<a href=\"x\">&"`)
	f(`''::text`, `""`)
	f(`E'\u0001\t\n\u2028'`, "\"\\u0001\\t\\n\u2028\"")
	f(`'\x00ff10'::bytea`, `"AP8Q"`)
	f(`''::bytea`, `""`)
	f(`'2024-02-29'::date`, `"2024-02-29"`)
	f(`'infinity'::date`, `null`)
	f(`'0044-03-15 BC'::date`, `"0044-03-15 BC"`)
	f(`'2024-02-29 01:02:03'::timestamp`, `"2024-02-29T01:02:03Z"`)
	f(`'2024-02-29 01:02:03.120'::timestamp`, `"2024-02-29T01:02:03.12Z"`)
	f(`'2024-02-29 01:02:03.000001+05:30'::timestamptz`, `"2024-02-28T19:32:03.000001Z"`)
	f(`'-infinity'::timestamptz`, `null`)
	f(`'12345-01-01'::timestamp`, `"12345-01-01 00:00:00"`)
	f(`'01:02:03'::time`, `"01:02:03"`)
	f(`'1 day 2 hours'::interval`, `"1 day 02:00:00"`)
	f(`'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`)
	f(`'{"b": 1.50, "a":  [1, null]}'::json`, `{"b":1.50,"a":[1,null]}`)
	f(`'{"b": 1.50, "a":  "<"}'::jsonb`, `{"a":"<","b":1.50}`)
	f(`'null'::jsonb`, `null`)
}

func TestPostgresArraysAndOwnTypes(t *testing.T) {
	f := valuesOf(t, `CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN age AS integer; CREATE DOMAIN dog_age AS age;
		CREATE TYPE pair AS (a integer, b text)`)
	f(`'{1,2,NULL}'::int[]`, `[1,2,null]`)
	f(`'{}'::int[]`, `[]`)
	f(`'[0:1]={1,2}'::int[]`, `[1,2]`)
	f(`'{{1,2},{3,4}}'::int8[]`, `[[1,2],[3,4]]`)
	f(`ARRAY['a', NULL, 'NULL', '', 'a "b" \ {c},d', '李']`, `["a",null,"NULL","","a \"b\" \\ {c},d","李"]`)
	f(`ARRAY['x'::varchar]`, `["x"]`)
	f(`ARRAY[true, false]`, `[true,false]`)
	f(`ARRAY[1.50, 'NaN'::numeric]`, `[1.50,null]`)
	f(`ARRAY['{"a": 1}'::jsonb]`, `[{"a":1}]`)
	f(`ARRAY['\x00ff'::bytea]`, `["AP8="]`)
	f(`ARRAY['2024-02-29 01:02:03'::timestamp]`, `["2024-02-29T01:02:03Z"]`)
	f(`ARRAY[box '(1,1),(0,0)', box '(2,2),(1,1)']`, `["(1,1),(0,0)","(2,2),(1,1)"]`)
	f(`'so so'::mood`, `"so so"`)
	f(`ARRAY['so so'::mood, NULL]`, `["so so",null]`)
	f(`5::dog_age`, `5`)
	f(`ARRAY[5::dog_age]`, `[5]`)
	f(`ROW(1, 'x')::pair`, `"(1,x)"`)
	f(`'1 2'::int2vector`, `"1 2"`)
	f(`'[1,5)'::int4range`, `"[1,5)"`)
	f(`12.5::money`, `"$12.50"`)
}

func TestPostgresSyntaxThatLooksLikeOurs(t *testing.T) {
	f := valuesOf(t)
	f(`'{"a":1}'::jsonb ? 'a'`, `true`)
	f(`'{"a":1}'::jsonb ?| ARRAY['a','{x}']`, `true`)
	f(`$a${x} 'quoted'$a$::text`, `"{x} 'quoted'"`)
	f(`E'\'{x} '' '::text`, `"'{x} ' "`)
}

func TestPostgresServerSettings(t *testing.T) {
	pg := testkit.Postgres(t)
	pg.Exec(`DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET bytea_output = escape';
		EXECUTE 'ALTER DATABASE ' || current_database() || ' SET datestyle = ''German, DMY''';
		EXECUTE 'ALTER DATABASE ' || current_database() || ' SET timezone = ''America/St_Johns'''; END $$`)
	r := records(t, open(t, engine.Config{URL: pg.URL()}), byID(`SELECT '\x005c41ff'::bytea AS b, '2024-07-01 00:00:00Z'::timestamptz AS t, '2024-07-01'::date AS d WHERE {id} = 1`))
	if got, want := load(t, r, int64(1)), `{"b":"AFxB/w==","t":"2024-07-01T00:00:00Z","d":"2024-07-01"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPostgresMany(t *testing.T) {
	db := open(t, engine.Config{URL: testkit.Postgres(t).URL(), Init: []string{
		`CREATE TABLE k (slug text, id uuid, n integer); INSERT INTO k VALUES
		('a"\,{}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1), ('NULL', 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 2)`}})
	f := func(typ, column string, keys ...string) {
		t.Helper()
		r := records(t, db, database.Spec{
			Name: "k", Params: []param.Param{{Name: "p", Type: param.Kind(typ)}},
			Select:     `SELECT n FROM k WHERE ` + column + ` = {p}`,
			SelectMany: `SELECT ` + column + `, n FROM k WHERE ` + column + ` = ANY ({p})`,
		})
		args := []source.Args{{keys[0]}, {keys[1]}, {keys[2]}}
		got, err := r.(source.ManyRecords).LoadMany(t.Context(), args)
		if text := fmt.Sprintf("%s", got); err != nil || text != `[{"n":2}  {"n":1}]` {
			t.Errorf("%s: got %s, %v", typ, text, err)
		}
	}
	f("string", "slug", "NULL", "null", `a"\,{}`)
	f("uuid", "id", "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "c0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
}

// TestManyIsOneQueryFromTheFirst: a fresh process does not know the columns of
// the select, and does not load a record to learn them.
func TestManyIsOneQueryFromTheFirst(t *testing.T) {
	pg := testkit.Postgres(t)
	pg.Exec(`CREATE SEQUENCE asked; CREATE TABLE k (id integer, n integer); INSERT INTO k VALUES (1, 10), (2, 20)`)
	r := records(t, open(t, engine.Config{URL: pg.URL()}), database.Spec{
		Name: "k", Params: []param.Param{{Name: "id", Type: "int"}},
		Select:     `SELECT n FROM k, nextval('asked') WHERE id = {id} -- one`,
		SelectMany: `SELECT id, n FROM k, (SELECT nextval('asked') OFFSET 0) AS once WHERE id IN ({id})`,
	})
	got, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{int64(1)}, {int64(2)}})
	if text := fmt.Sprintf("%s", got); err != nil || text != `[{"n":10} {"n":20}]` {
		t.Errorf("got %s, %v", text, err)
	}
	if n := pg.Int(`SELECT last_value FROM asked`); n != 1 {
		t.Errorf("PostgreSQL was asked %d times, want once", n)
	}
}

func TestPostgresBodies(t *testing.T) {
	db := open(t, engine.Config{URL: testkit.Postgres(t).URL(), Init: []string{
		`CREATE TABLE b (id integer PRIMARY KEY, n integer, d jsonb, on_day date, tags text[], yes boolean)`}})
	r := records(t, db, database.Spec{
		Name: "b", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: `SELECT n, d, on_day, tags, yes FROM b WHERE id = {id}`,
		Upsert: `INSERT INTO b VALUES ({id}, {body.n?}, {body}, {body.day?},
			ARRAY(SELECT jsonb_array_elements_text({body.tags?})), {body.yes?})
			ON CONFLICT (id) DO UPDATE SET n = excluded.n, d = excluded.d, on_day = excluded.on_day, tags = excluded.tags, yes = excluded.yes`,
	})
	body := `{"n":"12","day":"2024-02-29","tags":["x","y z"],"yes":true,"big":1e30}`
	want := `{"n":12,"d":{"n":"12","big":1000000000000000000000000000000,"day":"2024-02-29","yes":true,"tags":["x","y z"]},"on_day":"2024-02-29","tags":["x","y z"],"yes":true}`
	if got := put(t, r, body, int64(1)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, body := range []string{
		`{"n":"x"}`, `{"n":1.5}`, `{"n":99999999999}`, `{"day":"2023-02-29"}`, `{"yes":[]}`, `{"d":1e999999}`,
	} {
		_, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(body))
		var fault *source.BodyError
		if !errors.As(err, &fault) {
			t.Errorf("Put(%s): got %v, want a BodyError", body, err)
		}
	}
	if _, err := r.Put(t.Context(), source.Args{int64(1) << 40}, bodyOf(`{}`)); err == nil {
		t.Error("Put beyond the key's range: got no error")
	}
}

func TestPostgresStatementThatFailsOnData(t *testing.T) {
	db := open(t, engine.Config{URL: testkit.Postgres(t).URL(), Demo: true})
	r := records(t, db, byID(`SELECT name::integer AS n FROM users WHERE id = {id}`))
	if _, err := r.Load(t.Context(), source.Args{int64(1)}); err == nil || errors.Is(err, source.ErrNoRecord) {
		t.Errorf("a select that fails on the record: got %v, want an error that does not say it is missing", err)
	}
	if got := load(t, r, int64(5000000000)); got != "none" {
		t.Errorf("a key beyond the column's range: got %s, want none", got)
	}
}

func TestPostgresAlteredTable(t *testing.T) {
	pg := testkit.Postgres(t)
	db := open(t, engine.Config{URL: pg.URL(), Demo: true, MaxConns: 1})
	spec := byID(`SELECT * FROM users WHERE id = {id}`)
	spec.SelectMany = `SELECT * FROM users WHERE id IN ({id})`
	r := records(t, db, spec)
	load(t, r, int64(1))
	pg.Exec(`ALTER TABLE users ADD COLUMN age integer DEFAULT 3`)
	want := `{"id":1,"name":"张三","city":"北京","age":3}`
	got, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{int64(1)}})
	if err != nil || string(got[0]) != want {
		t.Errorf("LoadMany after ALTER TABLE: got %s, %v, want %s", got, err, want)
	}
	if got := load(t, r, int64(1)); got != want {
		t.Errorf("Load after ALTER TABLE: got %s, want %s", got, want)
	}
}

func TestPostgresDeferredConstraint(t *testing.T) {
	db := open(t, engine.Config{URL: testkit.Postgres(t).URL(), Init: []string{
		`CREATE TABLE a (id integer PRIMARY KEY, n integer UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1, 1)`}})
	r := records(t, db, database.Spec{
		Name: "a", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: `SELECT n FROM a WHERE id = {id}`, Upsert: `INSERT INTO a VALUES ({id}, {body.n})`,
	})
	c, err := r.Put(t.Context(), source.Args{int64(2)}, bodyOf(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	var fault *source.BodyError
	if err := c.Commit(t.Context()); !errors.As(err, &fault) || errors.Is(err, source.ErrUnknownOutcome) {
		t.Errorf("Commit: got %v, want a BodyError", err)
	}
}

func TestPostgresOutage(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t, testkit.OwnServer())
	pg.Stop()
	db := open(t, engine.Config{URL: pg.URL(), Demo: true, Timeout: 10 * time.Second})
	spec := byID(`SELECT id, name FROM users WHERE id = {id}`)
	spec.Upsert = `UPDATE users SET name = {body.name} WHERE id = {id}`
	r := records(t, db, spec)
	if _, err := r.Load(t.Context(), source.Args{int64(1)}); !errors.Is(err, source.ErrDown) || db.Up() {
		t.Errorf("Load without a server: got %v, up %t, want ErrDown", err, db.Up())
	}
	pg.Start()
	want := `{"id":1,"name":"张三"}`
	if got := load(t, r, int64(1)); got != want || !db.Up() {
		t.Errorf("the first Load after the server came: got %s, up %t", got, db.Up())
	}
	pg.Stop()
	if _, err := r.Load(t.Context(), source.Args{int64(1)}); !errors.Is(err, source.ErrDown) || db.Up() {
		t.Errorf("Load after the server went: got %v, up %t, want ErrDown", err, db.Up())
	}
	if _, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"x"}`)); !errors.Is(err, source.ErrDown) {
		t.Errorf("Put after the server went: got %v, want ErrDown", err)
	}
	pg.Start()
	if got := load(t, r, int64(1)); got != want || !db.Up() {
		t.Errorf("Load after the server came back: got %s, up %t", got, db.Up())
	}
	pg.Kill() // with a live connection in the pool
	pg.Start()
	if got := load(t, r, int64(1)); got != want {
		t.Errorf("Load over a connection that died: got %s", got)
	}
	pg.Kill()
	pg.Start()
	if got := put(t, r, `{"name":"李四"}`, int64(1)); got != `{"id":1,"name":"李四"}` {
		t.Errorf("Put over a connection that died: got %s", got)
	}
}

func TestPostgresUnknownOutcome(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t, testkit.OwnServer())
	db := open(t, engine.Config{URL: pg.URL(), Demo: true, MaxConns: 1})
	r := renamed(t, db)

	frozen := rename(t, r, 1, "x")
	pg.Pause()
	if err := frozen.Commit(within(t, 200*time.Millisecond)); !errors.Is(err, source.ErrUnknownOutcome) || errors.Is(err, source.ErrDown) {
		t.Errorf("Commit to a frozen server: got %v, want ErrUnknownOutcome by the caller's deadline", err)
	}
	if over, err := frozen.Over(within(t, 200*time.Millisecond)); over || err == nil || errors.Is(err, source.ErrNoOutcome) {
		t.Errorf("Over on a frozen server: got %t, %v, want an error", over, err)
	}
	if err := db.Ping(within(t, 200*time.Millisecond)); err == nil || db.Up() {
		t.Errorf("Ping of a frozen server: got %v, up %t", err, db.Up())
	}
	pg.Resume()
	becomesOver(t, frozen)

	pg.Exec("CHECKPOINT") // testkit's servers do not sync
	killed := rename(t, r, 1, "y")
	pg.Pause()
	if err := killed.Commit(within(t, 200*time.Millisecond)); !errors.Is(err, source.ErrUnknownOutcome) {
		t.Errorf("Commit to a server that is frozen and then killed: got %v, want ErrUnknownOutcome", err)
	}
	pg.Kill()
	if over, err := killed.Over(t.Context()); over || !errors.Is(err, source.ErrDown) {
		t.Errorf("Over on a killed server: got %t, %v, want ErrDown", over, err)
	}
	pg.Start()
	becomesOver(t, killed)
	dead := rename(t, r, 1, "z")
	pg.Kill()
	if err := dead.Commit(t.Context()); errors.Is(err, source.ErrUnknownOutcome) || !errors.Is(err, source.ErrDown) {
		t.Errorf("Commit to a server that was killed before: got %v, want ErrDown, for nothing was sent", err)
	}
	if over, err := dead.Over(t.Context()); !over || err != nil {
		t.Errorf("Over after a COMMIT that was not sent: got %t, %v", over, err)
	}
	pg.Start()
	rename(t, r, 1, "z").Rollback() // the one connection is free again
}

func TestPostgresURL(t *testing.T) {
	for _, text := range []string{
		"postgres://user:hush/hush@host:port/name", "postgresql://user:hush%zz@host/name", "postgres://user:hush@host/name?connect_timeout=hush",
	} {
		_, err := database.New(engine.Config{URL: text})
		if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "database.url") {
			t.Errorf("Open(%q): got %v", text, err)
		}
	}
}
