package database_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

var update = flag.Bool("update", false, "write the tables of docs/types.md")

// typeCase is a value of a type: in SQL, as a read shows it and a write takes it.
type typeCase struct {
	declared, literal, json string
}

// typeRefusal is JSON that a column of a type does not take.
type typeRefusal struct {
	declared, json, reason string
}

// typeTable is what one database is held to.
type typeTable struct {
	name     string
	open     func(t *testing.T) string // the URL of an empty database
	init     []string
	conflict string // of the upsert
	stored   string // an expression that tells values of v apart
	cases    []typeCase
	refusals []typeRefusal
}

func TestTypesOfPostgreSQL(t *testing.T) { testTypes(t, postgresTypes) }
func TestTypesOfMariaDB(t *testing.T)    { testTypes(t, mariaTypes) }
func TestTypesOfSQLite(t *testing.T)     { testTypes(t, sqliteTypes) }

func testTypes(t *testing.T, table typeTable) {
	init := table.init
	for i, c := range table.cases {
		init = append(init, fmt.Sprintf("CREATE TABLE t%d (id integer PRIMARY KEY, other text, v %s)", i, c.declared),
			fmt.Sprintf("INSERT INTO t%d VALUES (1, 'a', %s)", i, c.literal))
	}
	for i, c := range table.refusals {
		init = append(init, fmt.Sprintf("CREATE TABLE r%d (id integer PRIMARY KEY, other text, v %s)", i, c.declared))
	}
	db := open(t, engine.Config{URL: table.open(t), Init: init, Timeout: time.Minute})
	resource := func(name string) source.Records {
		return records(t, db, database.Spec{
			Name: name, Params: []param.Param{{Name: "id", Type: "int"}},
			Select: fmt.Sprintf("SELECT id, other, v FROM %s WHERE id = {id}", name),
			Upsert: fmt.Sprintf("INSERT INTO %s (id, other, v) VALUES ({id}, {body.other?}, {body.v?}) %s", name, table.conflict),
		})
	}
	for i, c := range table.cases {
		name := fmt.Sprintf("t%d", i)
		r := resource(name)
		bare := records(t, db, byID(fmt.Sprintf("SELECT %s AS s FROM %s WHERE id = {id}", table.stored, name)))
		want := func(id int, other string) string {
			return fmt.Sprintf(`{"id":%d,"other":"%s","v":%s}`, id, other, c.json)
		}
		if got := load(t, r, int64(1)); got != want(1, "a") {
			t.Errorf("%s %s is read as %s, want %s", c.declared, c.literal, got, want(1, "a"))
			continue
		}
		stored := load(t, bare, int64(1))
		for id := 1; id <= 2; id++ { // over the record, and as a new one
			got, err := tryPut(t, r, want(id, "b"), int64(id))
			if err != nil || got != want(id, "b") {
				t.Errorf("%s %s: PUT of %s answers %s, %v", c.declared, c.literal, want(id, "b"), got, err)
			} else if now := load(t, bare, int64(id)); now != stored {
				t.Errorf("%s %s: PUT of %s turns %s into %s", c.declared, c.literal, c.json, stored, now)
			}
		}
	}
	for i, c := range table.refusals {
		got, err := tryPut(t, resource(fmt.Sprintf("r%d", i)), `{"v":`+c.json+`}`, int64(1))
		var fault *source.BodyError
		if !errors.As(err, &fault) || fault.Member != "v" || fault.Reason != c.reason {
			t.Errorf("%s: PUT of %s: got %s, %v, want a fault of v: %s", c.declared, c.json, got, err, c.reason)
		}
	}
}

// tryPut is put, which may be refused.
func tryPut(t *testing.T, r source.Records, body string, args ...any) (string, error) {
	t.Helper()
	c, err := r.Put(t.Context(), args, bodyOf(body))
	if err != nil {
		return "", err
	}
	return string(c.Record()), c.Commit(t.Context())
}

const (
	typesBegin = "<!-- tables: written by go test ./internal/source/database -run TestTypesDocument -update -->\n"
	typesEnd   = "<!-- end of tables -->\n"
)

// TestTypesDocument holds the tables of docs/types.md against what the tests
// above prove.
func TestTypesDocument(t *testing.T) {
	path := filepath.Join("..", "..", "..", "docs", "types.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), typesBegin)
	_, after, ok2 := strings.Cut(rest, typesEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for tables", path)
	}
	var b strings.Builder
	for _, table := range []typeTable{postgresTypes, mariaTypes, sqliteTypes} {
		table.document(&b)
	}
	want := before + typesBegin + b.String() + "\n" + typesEnd + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s differs from the tests; go test ./internal/source/database -run TestTypesDocument -update writes it (-want +got):\n%s", path, diff)
	}
}

func (table typeTable) document(b *strings.Builder) {
	cell := func(text string) string {
		quote := "`"
		if strings.Contains(text, quote) {
			quote = "``"
		}
		return quote + strings.ReplaceAll(text, "|", `\|`) + quote
	}
	fmt.Fprintf(b, "\n### %s\n\n| type | value in SQL | as JSON, read and written |\n|---|---|---|\n", table.name)
	for _, c := range table.cases {
		fmt.Fprintf(b, "| %s | %s | %s |\n", cell(c.declared), cell(c.literal), cell(c.json))
	}
	b.WriteString("\nRefused with 422:\n\n| type | member | reason |\n|---|---|---|\n")
	for _, c := range table.refusals {
		fmt.Fprintf(b, "| %s | %s | %s |\n", cell(c.declared), cell(c.json), c.reason)
	}
}

var postgresTypes = typeTable{
	name: "PostgreSQL",
	open: func(t *testing.T) string { return testkit.Postgres(t).URL() },
	init: []string{`CREATE TYPE mood AS ENUM ('sad', 'so so')`, `CREATE TYPE pair AS (a integer, b text)`,
		`CREATE DOMAIN age AS integer CHECK (VALUE >= 0)`, `CREATE DOMAIN tags AS text[]`, `CREATE DOMAIN raw AS bytea`},
	conflict: `ON CONFLICT (id) DO UPDATE SET other = excluded.other, v = excluded.v`,
	stored:   `v::text`,
	cases: []typeCase{
		{`boolean`, `true`, `true`},
		{`smallint`, `-32768`, `-32768`},
		{`bigint`, `9223372036854775807`, `9223372036854775807`},
		{`oid`, `4294967295`, `4294967295`},
		{`real`, `0.1`, `0.1`},
		{`double precision`, `0.30000000000000004`, `0.30000000000000004`},
		{`double precision`, `1e300`, `1e+300`},
		{`numeric`, `123456789012345678901234567890.1234500`, `123456789012345678901234567890.1234500`},
		{`numeric(5,2)`, `1.50`, `1.50`},
		{`money`, `'12.50'`, `"$12.50"`},
		{`text`, `'<"\''张三'`, `"<\"\\'张三"`},
		{`varchar(3)`, `'abc'`, `"abc"`},
		{`char(4)`, `'ab'`, `"ab  "`},
		{`"char"`, `'a'`, `"a"`},
		{`name`, `'a'`, `"a"`},
		{`bytea`, `'\x00ff10'`, `"AP8Q"`},
		{`bytea`, `''`, `""`},
		{`raw`, `'\x6869'`, `"aGk="`},
		{`bit(4)`, `B'1010'`, `"1010"`},
		{`varbit`, `B'101'`, `"101"`},
		{`uuid`, `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
		{`date`, `'2024-02-29'`, `"2024-02-29"`},
		{`date`, `'0044-03-15 BC'`, `"0044-03-15 BC"`},
		{`date`, `'0001-01-01'`, `"0001-01-01"`},
		{`timestamp`, `'2024-02-29 01:02:03.12'`, `"2024-02-29T01:02:03.12Z"`},
		{`timestamp`, `'12345-01-01'`, `"12345-01-01 00:00:00"`},
		{`timestamptz`, `'2024-02-29 01:02:03.000001+05:30'`, `"2024-02-28T19:32:03.000001Z"`},
		{`timestamptz`, `'0044-03-15 12:00:00+00 BC'`, `"0044-03-15 12:00:00+00 BC"`},
		{`time`, `'01:02:03.5'`, `"01:02:03.5"`},
		{`timetz`, `'01:02:03+02'`, `"01:02:03+02"`},
		{`interval`, `'-1 day 2 hours'`, `"-1 days +02:00:00"`},
		{`json`, `'{"b":1.50,"a":[1,null]}'`, `{"b":1.50,"a":[1,null]}`},
		{`jsonb`, `'{"b": 1.50}'`, `{"b":1.50}`},
		{`jsonb`, `'"x"'`, `"x"`},
		{`jsonb`, `'[]'`, `[]`},
		{`jsonb`, `'12345678901234567890.10'`, `12345678901234567890.10`},
		{`text[]`, `ARRAY['x']`, `["x"]`},
		{`text[]`, `ARRAY['a', NULL, 'NULL', '', 'a "b" \ {c},d', '李']`, `["a",null,"NULL","","a \"b\" \\ {c},d","李"]`},
		{`text[]`, `'{}'`, `[]`},
		{`integer[]`, `'{{1,2},{3,4}}'`, `[[1,2],[3,4]]`},
		{`numeric[]`, `'{1.50,NULL}'`, `[1.50,null]`},
		{`boolean[]`, `'{t,f}'`, `[true,false]`},
		{`bytea[]`, `ARRAY['\x00ff'::bytea]`, `["AP8="]`},
		{`jsonb[]`, `ARRAY['{"a":"x"}', '"x"', '[1]']::jsonb[]`, `[{"a":"x"},"x",[1]]`},
		{`timestamp[]`, `ARRAY['2024-02-29 01:02:03'::timestamp]`, `["2024-02-29T01:02:03Z"]`},
		{`mood[]`, `ARRAY['so so', NULL]::mood[]`, `["so so",null]`},
		{`box[]`, `ARRAY[box '(1,1),(0,0)', box '(2,2),(1,1)']`, `["(1,1),(0,0)","(2,2),(1,1)"]`},
		{`int4range[]`, `ARRAY['[1,5)'::int4range]`, `["[1,5)"]`},
		{`tags`, `ARRAY['x','y z']`, `["x","y z"]`},
		{`mood`, `'so so'`, `"so so"`},
		{`age`, `5`, `5`},
		{`pair`, `ROW(1, 'x y')`, `"(1,\"x y\")"`},
		{`int4range`, `'[1,5)'`, `"[1,5)"`},
		{`datemultirange`, `'{[2024-01-01,2024-02-01)}'`, `"{[2024-01-01,2024-02-01)}"`},
		{`inet`, `'10.0.0.1/8'`, `"10.0.0.1/8"`},
		{`cidr`, `'10.0.0.0/8'`, `"10.0.0.0/8"`},
		{`macaddr`, `'08:00:2b:01:02:03'`, `"08:00:2b:01:02:03"`},
		{`point`, `'(1,2)'`, `"(1,2)"`},
		{`polygon`, `'((0,0),(1,1),(1,0))'`, `"((0,0),(1,1),(1,0))"`},
		{`tsvector`, `'a b'`, `"'a' 'b'"`},
		{`xml`, `'<a>b</a>'`, `"<a>b</a>"`},
		{`int2vector`, `'1 2'`, `"1 2"`},
		{`jsonpath`, `'$."a"'`, `"$.\"a\""`},
		{`regclass`, `'pg_type'`, `"pg_type"`},
	},
	refusals: []typeRefusal{
		{`integer`, `"old"`, `has to be an integer`},
		{`integer`, `1.5`, `has to be an integer`},
		{`integer`, `true`, `has to be an integer`},
		{`integer`, `[]`, `has to be an integer`},
		{`integer`, `99999999999`, `is out of range`},
		{`bigint`, `1e30`, `is out of range`},
		{`numeric(5,2)`, `1000`, `is out of range`},
		{`double precision`, `1e400`, `is out of range`},
		{`boolean`, `1`, `has to be true or false`},
		{`boolean`, `"true"`, `has to be true or false`},
		{`bytea`, `"not base64"`, `has to be a string of base64`},
		{`bytea`, `{}`, `has to be a string of base64`},
		{`varchar(3)`, `"abcd"`, `is too long`},
		{`text[]`, `"{x}"`, `has to be an array`},
		{`integer[]`, `["x"]`, `has to be an integer`},
		{`integer[]`, `[[1,2],[3]]`, `has a wrong type or is out of range`},
		{`date`, `"2024-02-30"`, `has a wrong type or is out of range`},
		{`date`, `"now"`, `has to be a date, as in "2024-02-29"`},
		{`date`, `"2024-02-29T01:02:03Z"`, `has to be a date, as in "2024-02-29"`},
		{`timestamp`, `"soon"`, `has to be a time by RFC 3339, as in "2024-02-29T01:02:03Z"`},
		{`timestamptz`, `"2024-02-29 01:02:03"`, `has to be a time by RFC 3339, as in "2024-02-29T01:02:03Z"`},
		{`time`, `"01:02:03+02"`, `has to be a time of day, as in "01:02:03"`},
		{`uuid`, `"x"`, `has a wrong type or is out of range`},
		{`mood`, `"glad"`, `has a wrong type or is out of range`},
		{`age`, `-1`, `is not allowed`},
		{`bit(4)`, `"101"`, `has a wrong type or is out of range`},
		{`integer CHECK (v > 0)`, `0`, `is not allowed`},
		{`integer NOT NULL`, `null`, `is needed, and may not be null`},
		{`integer UNIQUE REFERENCES r0 (id)`, `7`, `refers to a record that does not exist`},
	},
}

var mariaTypes = typeTable{
	name:     "MySQL and MariaDB",
	open:     func(t *testing.T) string { return testkit.MariaDB(t).URL() },
	conflict: `ON DUPLICATE KEY UPDATE other = VALUES(other), v = VALUES(v)`,
	stored:   `HEX(v)`,
	cases: []typeCase{
		{`boolean`, `true`, `1`},
		{`tinyint`, `-128`, `-128`},
		{`smallint unsigned`, `65535`, `65535`},
		{`mediumint`, `-8388608`, `-8388608`},
		{`int(5) zerofill`, `42`, `42`},
		{`bigint`, `-9223372036854775808`, `-9223372036854775808`},
		{`bigint unsigned`, `18446744073709551615`, `18446744073709551615`},
		{`decimal(40,10)`, `123456789012345678901234567890.1234500000`, `123456789012345678901234567890.1234500000`},
		{`float`, `0.1`, `0.1`},
		{`double`, `0.30000000000000004`, `0.30000000000000004`},
		{`double`, `1e300`, `1e+300`},
		{`bit(1)`, `b'1'`, `"AQ=="`},
		{`bit(10)`, `b'1000000010'`, `"AgI="`},
		{`bit(64)`, `b'1111111111111111111111111111111111111111111111111111111111111111'`, `"//////////8="`},
		{`year`, `2024`, `2024`},
		{`year`, `0`, `0`},
		{`date`, `'2024-02-29'`, `"2024-02-29"`},
		{`date`, `'2024-05-00'`, `"2024-05-00"`},
		{`date`, `'0001-01-01'`, `"0001-01-01"`},
		{`datetime`, `'2024-02-29 01:02:03'`, `"2024-02-29T01:02:03Z"`},
		{`datetime(6)`, `'2024-02-29 01:02:03.000001'`, `"2024-02-29T01:02:03.000001Z"`},
		{`datetime`, `'2024-00-05 01:02:03'`, `"2024-00-05 01:02:03"`},
		{`datetime`, `'0001-01-01'`, `"0001-01-01T00:00:00Z"`},
		{`timestamp(3) NULL`, `'2024-02-29 01:02:03.12'`, `"2024-02-29T01:02:03.12Z"`},
		{`time`, `'-838:59:59'`, `"-838:59:59"`},
		{`time(2)`, `'01:02:03.5'`, `"01:02:03.50"`},
		{`char(4)`, `'ab'`, `"ab"`},
		{`varchar(20)`, `'<"张三'`, `"<\"张三"`},
		{`varchar(20)`, `'12'`, `"12"`},
		{`text`, `'{"a": 1}'`, `"{\"a\": 1}"`},
		{`longtext`, `'x'`, `"x"`},
		{`enum('sad','so so','1')`, `'so so'`, `"so so"`},
		{`enum('sad','so so','1')`, `'1'`, `"1"`},
		{`set('a','b','c')`, `'a,c'`, `"a,c"`},
		{`binary(4)`, `x'00ff'`, `"AP8AAA=="`},
		{`varbinary(9)`, `x'00ff10'`, `"AP8Q"`},
		{`blob`, `x''`, `""`},
		{`longblob`, `x'6869'`, `"aGk="`},
		{`json`, `'{"b":1.50,"a":[1,null]}'`, `{"b":1.50,"a":[1,null]}`},
		{`json`, `'"x"'`, `"x"`},
		{`json`, `'12345678901234567890.10'`, `12345678901234567890.10`},
		{`geometry`, `ST_GeomFromText('POINT(1 2)', 4326)`, `"5hAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="`},
		{`uuid`, `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
		{`inet6`, `'::1'`, `"::1"`},
		{`inet4`, `'10.0.0.1'`, `"10.0.0.1"`},
	},
	refusals: []typeRefusal{
		{`int`, `"old"`, `has to be an integer`},
		{`int`, `1.5`, `has to be an integer`},
		{`int`, `true`, `has to be an integer`},
		{`int`, `99999999999`, `is out of range`},
		{`int unsigned`, `-1`, `is out of range`},
		{`bigint`, `9223372036854775808`, `is out of range`},
		{`decimal(5,2)`, `1000`, `is out of range`},
		{`decimal(5,2)`, `"x"`, `has to be a number`},
		{`double`, `1e400`, `is out of range`},
		{`bit(4)`, `16`, `is too long`},
		{`bit(4)`, `"x"`, `has to be a string of base64`},
		{`year`, `24`, `is out of range`},
		{`date`, `"2024-02-30"`, `has a wrong type or is out of range`},
		{`date`, `"2024-02-29T01:02:03Z"`, `has to be a date, as in "2024-02-29"`},
		{`datetime`, `"soon"`, `has to be a time by RFC 3339, as in "2024-02-29T01:02:03Z"`},
		{`time`, `"10"`, `has to be a time of day, as in "01:02:03"`},
		{`varchar(3)`, `"abcd"`, `is too long`},
		{`enum('a','b')`, `"c"`, `has a wrong type or is out of range`},
		{`enum('a','b')`, `"1"`, `is not allowed`},
		{`enum('a','b')`, `1`, `has to be a string`},
		{`set('a','b')`, `"3"`, `is not allowed`},
		{`blob`, `"not base64"`, `has to be a string of base64`},
		{`varbinary(2)`, `"AP8Q"`, `is too long`},
		{`uuid`, `"x"`, `has a wrong type or is out of range`},
		{`geometry`, `"AP8Q"`, `has a wrong type or is out of range`},
		{`int CHECK (v > 0)`, `0`, `is not allowed`},
		{`int NOT NULL`, `null`, `is needed, and may not be null`},
		{`int UNIQUE REFERENCES r0 (id)`, `7`, `refers to a record that does not exist`},
	},
}

var sqliteTypes = typeTable{
	name:     "SQLite",
	open:     func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "x.db") },
	conflict: `ON CONFLICT (id) DO UPDATE SET other = excluded.other, v = excluded.v`,
	stored:   `typeof(v) || ' ' || quote(v)`,
	cases: []typeCase{
		{`INTEGER`, `-9223372036854775808`, `-9223372036854775808`},
		{`BOOLEAN`, `1`, `true`},
		{`BOOLEAN`, `2`, `2`},
		{`REAL`, `5.0`, `5`},
		{`REAL`, `0.1`, `0.1`},
		{`DOUBLE`, `1e300`, `1e+300`},
		{`NUMERIC`, `9007199254740993`, `9007199254740993`},
		{`DECIMAL(10,2)`, `12.5`, `12.5`},
		{`TEXT`, `'<"张三'`, `"<\"张三"`},
		{`TEXT`, `42`, `"42"`},
		{`VARCHAR(3)`, `'abcd'`, `"abcd"`},
		{`BLOB`, `x'00ff10'`, `"AP8Q"`},
		{`BLOB`, `x''`, `""`},
		{`JSON`, `'{"b":1.50,"a":[1,null]}'`, `{"b":1.50,"a":[1,null]}`},
		{`JSON`, `'"x"'`, `"x"`},
		{`DATE`, `'2024-02-29'`, `"2024-02-29"`},
		{`DATETIME`, `'2024-02-29T01:02:03Z'`, `"2024-02-29T01:02:03Z"`},
		{`TIMESTAMP`, `1709168523`, `1709168523`},
		{``, `'x'`, `"x"`},
		{``, `5`, `5`},
		{`STRING`, `'x'`, `"x"`},
	},
	refusals: []typeRefusal{
		{`INTEGER`, `"old"`, `has to be an integer`},
		{`INTEGER`, `1.5`, `has to be an integer`},
		{`INTEGER`, `true`, `has to be an integer`},
		{`INTEGER`, `9223372036854775808`, `is out of range`},
		{`REAL`, `1e400`, `is out of range`},
		{`NUMERIC`, `12345678901234567890.10`, `has more digits than the column keeps`},
		{`NUMERIC`, `"x"`, `has to be a number`},
		{`BOOLEAN`, `"yes"`, `has to be true or false`},
		{`BLOB`, `"not base64"`, `has to be a string of base64`},
		{`STRING`, `"007"`, `has to be another string or a number: the column turns strings such as this one into numbers`},
		{``, `123456789012345678901`, `has more digits than the column keeps`},
		{`INTEGER CHECK (v > 0)`, `0`, `is not allowed`},
		{`INTEGER CONSTRAINT positive CHECK (v > 0)`, `0`, `is not allowed`},
		{`INTEGER NOT NULL`, `null`, `is needed, and may not be null`},
		{`INTEGER UNIQUE REFERENCES r0 (id)`, `7`, `refers to a record that does not exist`},
	},
}
