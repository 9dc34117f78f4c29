package database_test

import (
	"testing"

	"hearth/internal/source/database"
)

func TestIdentity(t *testing.T) {
	f := func(one, other string, same bool) {
		t.Helper()
		if got := database.Identity(one) == database.Identity(other); got != same {
			t.Errorf("%q and %q: same %t, want %t (%q, %q)", one, other, got, same, database.Identity(one), database.Identity(other))
		}
	}
	f("sqlite:/a.db", "sqlite:/a.db", true)
	f("sqlite:/a.db", "sqlite:/b.db", false)
	f("sqlite:/a.db", "postgres:///a.db", false)
	f("postgres://a:b@db/shop", "postgres://c:d@db/shop", true) // a rotated account
	f("postgres://db/shop", "postgresql://DB:5432/shop?user=u&password=p&sslmode=verify-full", true)
	f("postgres://db/shop", "postgres://db/other", false)
	f("postgres://db/shop", "postgres://db2/shop", false)
	f("postgres://db/shop", "postgres://db,db2/shop", false)
	f("postgres://db/shop", "postgres://db:5433/shop", false)
	f("postgres://u:p@db:5432,db2/shop", "postgres://u:q@DB:5432,db2/shop?target_session_attrs=read-write", true)
	f("postgres://db/shop", "postgres://db/shop?search_path=tenant", false)
	f("postgres:///shop?host=/run/one", "postgres:///shop?host=/run/two", false)
	f("mysql://u:p@db/shop", "mysql://u:q@db:3306/shop?tls=true", true)
	f("mysql://db/shop", "mysql://db/shop?loc=Europe%2FBerlin", false)
}
