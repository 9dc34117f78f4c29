package auth_test

import (
	"strings"
	"testing"

	"hearth/internal/auth"
)

func TestValidate(t *testing.T) {
	ok := auth.Token{Name: "a", Scopes: auth.Write, Secret: "s3cret"}
	if err := auth.Validate([]auth.Token{ok, {Name: "b", Scopes: auth.Admin, Secret: "other"}}); err != nil {
		t.Errorf("Validate = %v, want nil", err)
	}
	f := func(want string, tokens ...auth.Token) {
		t.Helper()
		err := auth.Validate(tokens)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want an error with %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Validate tells the secret: %v", err)
		}
	}
	f("auth.token 1 has no name", auth.Token{Scopes: auth.Write, Secret: "x"})
	f(`auth.token.name "a" is given twice`, ok, auth.Token{Name: "a", Scopes: auth.Write, Secret: "x"})
	f(`auth.token "a" opens nothing`, auth.Token{Name: "a", Secret: "x"})
	f(`auth.token "a" is empty`, auth.Token{Name: "a", Scopes: auth.Write})
	f("spaces or characters", auth.Token{Name: "a", Scopes: auth.Write, Secret: "s3cret s3cret"})
	f("spaces or characters", auth.Token{Name: "a", Scopes: auth.Write, Secret: "s3cret\n"})
	f("spaces or characters", auth.Token{Name: "a", Scopes: auth.Write, Secret: "s3cret张"})
	f(`auth.token "a" and "b" have the same secret`, ok, auth.Token{Name: "b", Scopes: auth.Admin, Secret: ok.Secret})
}

func TestValidateReportsAllFaults(t *testing.T) {
	err := auth.Validate([]auth.Token{{}, {Name: "a", Scopes: auth.Write, Secret: "a b"}})
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("Validate = %v, want four faults", err)
	}
}

func TestParseScopes(t *testing.T) {
	f := func(want auth.Scope, names ...string) {
		t.Helper()
		if got, err := auth.ParseScopes(names); err != nil || got != want {
			t.Errorf("ParseScopes(%q) = %v, %v; want %v", names, got, err, want)
		}
	}
	f(0)
	f(auth.Write, "write")
	f(auth.Write|auth.Admin|auth.Metrics, "metrics", "admin", "write", "write")
	for _, bad := range []string{"", "Write", "read", "write admin"} {
		if _, err := auth.ParseScopes([]string{bad}); err == nil || !strings.Contains(err.Error(), "auth.token.scopes") {
			t.Errorf("ParseScopes(%q) = %v, want an error that names the key", bad, err)
		}
	}
}
