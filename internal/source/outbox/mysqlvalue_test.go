package outbox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestMySQLColumns: each kind of column is told as a client of Hearth writes its value, by
// whatever session it was written.
func TestMySQLColumns(t *testing.T) {
	t.Parallel()
	var names, columns, values, wanted []string
	f := func(column, value, want string) {
		name := fmt.Sprintf("c%d", len(names))
		names, columns, values, wanted = append(names, name), append(columns, name+" "+column), append(values, value), append(wanted, want)
	}
	f("bigint", "-9223372036854775808", "-9223372036854775808")
	f("bigint unsigned", "18446744073709551615", "18446744073709551615")
	f("int(8) zerofill", "42", "42")
	f("bit(40)", "b'1000000000000000000000000000000000000001'", "549755813889")
	f("boolean", "true", "1")
	f("decimal(20,2)", "12345678901234567.5", "12345678901234567.50")
	f("double", "1e300", "1e300")
	f("year", "2024", "2024")
	f("varchar(20) CHARACTER SET latin1", "'Grün'", `"Grün"`)
	f("char(20) CHARACTER SET ucs2", "_utf8mb4 X'E697A5E69CAC'", `"日本"`)
	f("text CHARACTER SET utf8mb4", `_utf8mb4 X'F09F94A50A225C'`, `"🔥\n\"\\"`)
	f("enum('a','b')", "'b'", `"b"`)
	f("set('a','b')", "'b,a'", `"a,b"`)
	f("binary(16)", "X'00112233445566778899AABBCCDDEEFF'", `"00112233-4455-6677-8899-aabbccddeeff"`)
	f("binary(3)", "'ab'", `"616200"`)
	f("varbinary(20)", "'Az'", `"Az"`)
	f("varbinary(20)", "X'FF00'", `"ff00"`)
	f("blob", "X'C3BC'", `"ü"`)
	f("uuid", "'00112233-4455-6677-8899-AABBCCDDEEFF'", `"00112233-4455-6677-8899-aabbccddeeff"`)
	f("date", "'2024-02-29'", `"2024-02-29"`)
	f("datetime(3)", "'2024-02-29 01:02:03.004'", `"2024-02-29 01:02:03.004"`)
	f("timestamp NULL", "'2024-02-29 01:02:03'", `"2024-02-28 20:02:03"`)
	f("timestamp(6) NULL", "'2024-02-29 01:02:03.000004'", `"2024-02-28 20:02:03.000004"`)
	for _, column := range []string{"int", "bit(1)", "varchar(3)", "binary(16)", "varbinary(3)", "timestamp NULL", "datetime", "uuid", "json", "int zerofill"} {
		f(column, "NULL", "null")
	}
	f("bigint unsigned GENERATED ALWAYS AS (c2 + 1) VIRTUAL", "DEFAULT", "43")
	o := newMyOutbox(t, "CREATE TABLE t ("+strings.Join(columns, ", ")+", other int) CHARACTER SET utf8mb4")
	o.watch("t", strings.Join(names, " "), "")
	o.db.Exec("SET SESSION time_zone = '+05:00', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', character_set_connection = latin1;" +
		"INSERT INTO t VALUES (" + strings.Join(values, ", ") + ", 0)")
	var got map[string]json.RawMessage
	told := o.told()
	o.after("UPDATE t SET other = 1", told[0]) // the statement itself reads none of them
	o.after("DELETE FROM t", told[0])
	if err := json.Unmarshal([]byte(told[0]), &got); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if string(got[name]) != wanted[i] {
			t.Errorf("%s of %s: got %s, want %s", values[i], columns[i], got[name], wanted[i])
		}
	}
}
