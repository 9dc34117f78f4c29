package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// No server is needed here: what is particular to MySQL is how its URL, its
// values and its errors are read. The rest is shared with SQLite.

func TestMySQLConfig(t *testing.T) {
	f := func(url, want string) {
		t.Helper()
		c, err := driverConfig(engine.Config{URL: url, Timeout: time.Second})
		if err != nil {
			t.Errorf("%q: %v", url, err)
			return
		}
		if got := c.FormatDSN(); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", url, got, want)
		}
		if c.MultiStatements || c.InterpolateParams || c.ParseTime || c.Loc != time.UTC {
			t.Errorf("%q: the fixed settings are %+v", url, c)
		}
	}
	const zone = "time_zone=%27%2B00%3A00%27"
	f("mysql://u:p%40%2F@h/db", "u:p@/@tcp(h:3306)/db?clientFoundRows=true&timeout=1s&"+zone)
	f("mysql://u@[::1]:33/db?tls=skip-verify&sql_mode='ANSI'", "u@tcp([::1]:33)/db?clientFoundRows=true&timeout=1s&tls=skip-verify&sql_mode=%27ANSI%27&"+zone)
	f("mysql://u@h/db?socket=/run/m.sock&time_zone='Europe/Paris'&timeout=3s", "u@unix(/run/m.sock)/db?clientFoundRows=true&timeout=3s&time_zone=%27Europe%2FParis%27")
}

func TestMySQLValues(t *testing.T) {
	f := func(declared string, value any, want string) {
		t.Helper()
		got, err := appendValue(nil, declared, value)
		if err != nil || string(got) != want {
			t.Errorf("%s %v: got %s, %v, want %s", declared, value, got, err, want)
		}
	}
	f("INT", nil, "null")
	f("BIGINT", int64(-5), "-5")
	f("UNSIGNED BIGINT", uint64(18446744073709551615), "18446744073709551615")
	f("UNSIGNED BIGINT", []byte("18446744073709551615"), "18446744073709551615")
	f("FLOAT", float32(0.1), "0.1")
	f("DOUBLE", 0.1, "0.1")
	f("DECIMAL", []byte("12345678901234567890.10"), "12345678901234567890.10")
	f("VARCHAR", []byte("a<\"\xff"), `"a<\"�"`)
	f("BLOB", []byte{0, 255}, `"AP8="`)
	f("JSON", []byte(`{"a": 1}`), `{"a":1}`)
	f("DATE", []byte("2024-02-29"), `"2024-02-29"`)
	f("DATETIME", []byte("2024-02-29 01:02:03.000004"), `"2024-02-29T01:02:03.000004Z"`)
	f("DATETIME", []byte("0000-00-00 00:00:00"), "null")
	f("DATE", []byte("0000-00-00"), "null")
	f("DATE", []byte("0001-01-01"), `"0001-01-01"`)
	f("DATETIME", []byte("0001-01-01 00:00:00"), `"0001-01-01T00:00:00Z"`)
	f("DATE", []byte("2024-05-00"), `"2024-05-00"`)
	f("TIMESTAMP", []byte("2024-05-00 01:02:03"), `"2024-05-00 01:02:03"`)
	f("TIME", []byte("01:02:03"), `"01:02:03"`)
}

func TestMySQLFaults(t *testing.T) {
	f := func(err error, want engine.FaultClass) {
		t.Helper()
		if got := faultOf(fmt.Errorf("wrapped: %w", err)).Class; got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
	f(driver.ErrBadConn, engine.FaultLost)
	f(mysql.ErrInvalidConn, engine.FaultLost)
	f(context.DeadlineExceeded, engine.FaultLost)
	f(&net.OpError{Op: "read", Err: syscall.ECONNRESET}, engine.FaultLost)
	f(&mysql.MySQLError{Number: 1053}, engine.FaultLost)
	f(&connectError{&mysql.MySQLError{Number: 1049}}, engine.FaultLost)
	f(&connectError{mysql.ErrNoTLS}, engine.FaultLost)
	f(&mysql.MySQLError{Number: 1048}, engine.FaultRule)
	f(&mysql.MySQLError{Number: 1062}, engine.FaultRule)
	f(&mysql.MySQLError{Number: 3819}, engine.FaultRule)
	f(&mysql.MySQLError{Number: 1452}, engine.FaultReference)
	f(&mysql.MySQLError{Number: 1264}, engine.FaultData)
	state := func(text string) (s [5]byte) { copy(s[:], text); return s }
	f(&mysql.MySQLError{Number: 1064, SQLState: state("42000")}, engine.FaultRefused)
	f(&mysql.MySQLError{Number: 1146, SQLState: state("42S02")}, engine.FaultRefused)
	f(&mysql.MySQLError{Number: 1049, SQLState: state("42000")}, engine.FaultRefused) // in a statement
	f(&mysql.MySQLError{Number: 1136, SQLState: state("21S01")}, engine.FaultRefused)
	f(&mysql.MySQLError{Number: 1449, SQLState: state("HY000")}, engine.FaultRefused)
	f(&mysql.MySQLError{Number: 1203, SQLState: state("42000")}, engine.FaultLost)
	f(&mysql.MySQLError{Number: 1205, SQLState: state("HY000")}, engine.FaultBusy)
	f(&mysql.MySQLError{Number: 1213, SQLState: state("40001")}, engine.FaultBusy)
	f(&mysql.MySQLError{Number: 1615, SQLState: state("HY000")}, engine.FaultBusy)
	f(&mysql.MySQLError{Number: 3024, SQLState: state("HY000")}, engine.FaultSlow)
	f(&mysql.MySQLError{Number: 1317, SQLState: state("70100")}, engine.FaultSlow)
	f(&mysql.MySQLError{Number: 1290, SQLState: state("HY000")}, engine.FaultOther)
	f(&mysql.MySQLError{Number: 1114, SQLState: state("HY000")}, engine.FaultOther)
	mixed := "Illegal mix of collations (latin1_swedish_ci,IMPLICIT) and (utf8mb4_general_ci,%s) for operation '='"
	f(&mysql.MySQLError{Number: 1267, Message: fmt.Sprintf(mixed, "COERCIBLE")}, engine.FaultData)
	f(&mysql.MySQLError{Number: 1267, Message: fmt.Sprintf(mixed, "IMPLICIT")}, engine.FaultRefused)
	f(mysql.ErrPktTooLarge, engine.FaultOther)
	f(errors.New("bad value for field"), engine.FaultOther)
}

func TestMySQLConnector(t *testing.T) {
	e, err := New(engine.Config{URL: "mysql://u@127.0.0.1:1/db", Timeout: time.Second, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var refusal *connectError
	if _, err := e.Ping(t.Context()); !errors.As(err, &refusal) || e.Fault(err).Class != engine.FaultLost {
		t.Errorf("ping of a port that nobody listens on: got %v, want a refusal", err)
	}
}

func TestMySQLThread(t *testing.T) {
	thread := &thread{id: 7, server: "a:3306"}
	f := func(s threadView, ago time.Duration, over bool, want error) {
		t.Helper()
		if got, err := thread.isOver(s, ago); got != over || !errors.Is(err, want) {
			t.Errorf("%+v, %v after the last rest: got %t, %v, want %t, %v", s, ago, got, err, over, want)
		}
	}
	const second = time.Second
	here := threadView{server: "a:3306", self: true}
	f(here, second, true, nil)
	f(threadView{server: "a:3307", self: true}, second, false, source.ErrNoOutcome)
	f(threadView{server: "a:3306"}, second, false, source.ErrNoOutcome)
	here.shown = true
	f(here, time.Hour, false, nil) // it works
	here.rests = true
	f(here, second, false, nil)
	here.since = 60 * second
	f(here, 60*second, false, nil) // as long as before COMMIT, which has not arrived
	f(here, 61*second, false, nil)
	f(here, 63*second, true, nil)
}

// TestMySQLTakesNoWrites: answers of a server that is no primary, and others like them.
func TestMySQLTakesNoWrites(t *testing.T) {
	f := func(number uint16, message string, want bool) {
		t.Helper()
		if got := faultOf(&mysql.MySQLError{Number: number, Message: message}); got.ReadOnly != want || want && got.Remedy != engine.RemedyPrimary {
			t.Errorf("%d %q: got %+v, read-only %t", number, message, got, want)
		}
	}
	f(1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement", true)
	f(1290, "The MySQL server is running with the --super-read-only option so it cannot execute this statement", true)
	f(1290, "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement", false)
	f(1792, "Cannot execute statement in a READ ONLY transaction.", true)
	f(1836, "Running in read-only mode", true)
	f(1874, "InnoDB is in read only mode.", true)
	f(1036, "Table 't' is read only", true)
	f(1142, "UPDATE command denied", false)
}

// TestMySQLHosts: several hosts have their own ports, and a fault of one is the URL's.
func TestMySQLHosts(t *testing.T) {
	if _, err := New(engine.Config{URL: "mysql://u:p@a:3307,b/db?rejectReadOnly=true", Timeout: time.Second, MaxConns: 1}); err != nil {
		t.Errorf("two hosts: %v", err)
	}
	if _, err := New(engine.Config{URL: "mysql://u:p@a,b:0/db", Timeout: time.Second, MaxConns: 1}); err == nil {
		t.Error("a port that is none passes for one")
	}
}
