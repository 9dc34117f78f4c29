package test

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"hearth/internal/testkit"
)

// databaseCommand gives a script a database on the servers that all tests share, and is its
// application:
//
//	database postgres | mariadb   a new one; sets HEARTH_DATABASE_URL, and NAME to its name
//	database sqlite FILE          a file
//	database as ACCOUNT [PASSWORD]  has the program log in as another account
//	database run FILE             gives a file to the database's own client
//	database SQL                  rows go to stdout, with | between values
func databaseCommand(ts *testscript.TestScript, neg bool, args []string) {
	own := ts.Value("servers").(*servers)
	switch {
	case args[0] == "postgres", args[0] == "mariadb":
		start := map[string]func(testkit.TB, ...testkit.ServerOption) *testkit.Database{"postgres": testkit.Postgres, "mariadb": testkit.MariaDB}
		own.database = start[args[0]](ownerOf(ts))
		ts.Setenv("HEARTH_DATABASE_URL", own.database.URL())
		address, err := url.Parse(own.database.URL())
		ts.Check(err)
		ts.Setenv("NAME", strings.TrimPrefix(address.Path, "/"))
	case args[0] == "sqlite":
		own.file = ts.MkAbs(args[1])
		ts.Setenv("HEARTH_DATABASE_URL", "sqlite:"+own.file)
	case own.file != "":
		text := strings.Join(args, "\n")
		if args[0] == "run" {
			text = ts.ReadFile(args[1])
		}
		shell, err := testkit.SQLite(own.file)
		ts.Check(err)
		out, err := shell.Do(text + ";")
		shell.Close()
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), out)
	case args[0] == "as":
		address, err := url.Parse(own.database.URL())
		ts.Check(err)
		address.User = url.User(args[1])
		if len(args) > 2 {
			address.User = url.UserPassword(args[1], args[2])
		}
		ts.Setenv("HEARTH_DATABASE_URL", address.String())
	case args[0] == "run":
		own.database.Exec(ts.ReadFile(args[1]))
	default:
		for _, row := range own.database.Query(strings.Join(args, "\n")) {
			fmt.Fprintln(ts.Stdout(), strings.Join(row, "|"))
		}
	}
}
