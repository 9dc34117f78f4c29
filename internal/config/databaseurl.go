package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/param"
)

// sqlitePrefix marks the URL of a database as the path of a file.
const sqlitePrefix = "sqlite:"

// checkDatabase accepts "" and the URLs of a database, likewise unquoted.
func checkDatabase(text string) string {
	const example = `write it as "postgres://user:password@host:5432/name", special characters of the password percent-encoded`
	if text == "" {
		return ""
	}
	if file, isSQLite := strings.CutPrefix(text, sqlitePrefix); isSQLite {
		if file == "" {
			return `names no file; write it as "sqlite:data.db"`
		}
		if strings.ContainsAny(file, "?#") {
			return `has parameters, which a file has none of; write it as "sqlite:data.db"`
		}
		if strings.HasPrefix(file, "//") {
			return `has slashes that other programs read differently; write it as "sqlite:data.db" or "sqlite:/var/lib/hearth/data.db"`
		}
		return ""
	}
	// url.Parse alone would take "postgres:host/name" for a URL without a host.
	scheme, _, found := strings.Cut(text, "://")
	if !found || !slices.Contains([]string{"postgres", "postgresql", "mysql"}, scheme) {
		return `begins with none of sqlite:, postgres:// and mysql://; write it so, for instance "sqlite:data.db"`
	}
	hosts := param.Hosts(text)
	for i, host := range hosts {
		u, err := url.Parse(param.WithHost(text, host))
		switch {
		case err != nil:
			return "is no URL; " + example
		case u.Hostname() == "" && u.Query().Get("host") == "":
			return "names no host; " + example
		case slices.Contains(hosts[:i], host):
			return "names the host " + strconv.Quote(host) + " twice; name each server once"
		}
	}
	return ""
}

// sqliteFile returns the file of a SQLite database, or "" for other databases
// and those without a file.
func sqliteFile(database Secret) string {
	file, isSQLite := strings.CutPrefix(database.Reveal(), sqlitePrefix)
	if !isSQLite || file == ":memory:" {
		return ""
	}
	return file
}

// filesOfURL are the parameters of a database's URL that name files. "system" is a
// word of sslrootcert, not a file.
var filesOfURL = map[string][]string{
	"postgres": {"sslrootcert", "sslcert", "sslkey", "passfile", "servicefile"},
	"mysql":    {"ssl-ca", "ssl-cert", "ssl-key", "socket"},
}

// resolveURL makes the relative paths in a database's URL begin at dir. All else of it
// stays as it is written.
func resolveURL(text, dir string) string {
	if file := sqliteFile(NewSecret(text)); file != "" {
		return sqlitePrefix + absolute(file, dir)
	}
	scheme, _, _ := strings.Cut(text, "://")
	names := filesOfURL[strings.Replace(scheme, "postgresql", "postgres", 1)]
	address, query, found := strings.Cut(text, "?")
	if !found || len(names) == 0 {
		return text
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		path, err := url.QueryUnescape(value)
		if err != nil || !slices.Contains(names, name) || name == "sslrootcert" && path == "system" {
			continue
		}
		pairs[i] = name + "=" + url.QueryEscape(absolute(path, dir))
	}
	return address + "?" + strings.Join(pairs, "&")
}
