package auth_test

import (
	"bytes"
	"strings"
	"testing"

	"hearth/internal/auth"
)

func tokens() *auth.Tokens {
	return auth.New([]auth.Token{
		{Name: "app", Scopes: auth.Write, Secret: "write-secret"},
		{Name: "ops", Scopes: auth.Admin | auth.Metrics, Secret: "ops-secret=="},
		{Name: "prom", Scopes: auth.Metrics, Secret: "m3trics!"},
	})
}

func TestCheck(t *testing.T) {
	k := tokens()
	f := func(header string, wanted auth.Scope, wantName string, want auth.Result) {
		t.Helper()
		name, got := k.Check([][]byte{[]byte(header)}, wanted)
		if got != want || name != wantName {
			t.Errorf("Check(%q, %v) = %q, %v; want %q, %v", header, wanted, name, got, wantName, want)
		}
	}
	// Known tokens and their scopes.
	f("Bearer write-secret", auth.Write, "app", auth.OK)
	f("Bearer write-secret", auth.Admin, "app", auth.WrongScope)
	f("Bearer write-secret", auth.Admin|auth.Metrics, "app", auth.WrongScope)
	f("Bearer ops-secret==", auth.Admin, "ops", auth.OK)
	f("Bearer ops-secret==", auth.Metrics, "ops", auth.OK)
	f("Bearer ops-secret==", auth.Write, "ops", auth.WrongScope)
	f("Bearer m3trics!", auth.Admin|auth.Metrics, "prom", auth.OK)
	f("Bearer m3trics!", auth.Admin, "prom", auth.WrongScope)
	// What RFC 9110 lets a client vary.
	f("bearer write-secret", auth.Write, "app", auth.OK)
	f("BEARER write-secret", auth.Write, "app", auth.OK)
	f("Bearer    write-secret", auth.Write, "app", auth.OK)
	f(" \tBearer write-secret\t ", auth.Write, "app", auth.OK)
	// And what it does not.
	f("Bearer\twrite-secret", auth.Write, "", auth.Missing)
	f("Bearer \twrite-secret", auth.Write, "", auth.Unknown)
	f("Bearer write-secret, Bearer write-secret", auth.Write, "", auth.Unknown)
	f("Bearer write-secret x", auth.Write, "", auth.Unknown)
	f("Bearer write\x00secret", auth.Write, "", auth.Unknown)
	f("Bearer write-secret\xff", auth.Write, "", auth.Unknown)
	f(`Bearer "write-secret"`, auth.Write, "", auth.Unknown)
	f("Bearer token=write-secret", auth.Write, "", auth.Unknown)
	// No, other and broken credentials.
	f("", auth.Write, "", auth.Missing)
	f("   ", auth.Write, "", auth.Missing)
	f("Basic d3JpdGUtc2VjcmV0", auth.Write, "", auth.Missing)
	f("write-secret", auth.Write, "", auth.Missing)
	f("Bearerwrite-secret", auth.Write, "", auth.Missing)
	f("Bearer", auth.Write, "", auth.Unknown)
	f("Bearer ", auth.Write, "", auth.Unknown)
	// Near misses.
	f("Bearer write-secre", auth.Write, "", auth.Unknown)
	f("Bearer write-secrett", auth.Write, "", auth.Unknown)
	f("Bearer WRITE-SECRET", auth.Write, "", auth.Unknown)
	f("Bearer "+strings.Repeat("x", 1<<16), auth.Write, "", auth.Unknown)
}

func TestWithoutTokensEverybodyPasses(t *testing.T) {
	for _, k := range []*auth.Tokens{auth.New(nil), auth.New([]auth.Token{})} {
		if !k.Open() {
			t.Error("not open without tokens")
		}
		if name, got := k.Check(nil, auth.Write); got != auth.OK || name != "" {
			t.Errorf("Check = %q, %v; want \"\", OK", name, got)
		}
	}
	if tokens().Open() {
		t.Error("open with tokens")
	}
}

// TestEmptySecretOpensNothing covers a list that nobody validated.
func TestEmptySecretOpensNothing(t *testing.T) {
	k := auth.New([]auth.Token{{Name: "broken", Scopes: auth.Write}})
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer  "} {
		if _, got := k.Check([][]byte{[]byte(header)}, auth.Write); got == auth.OK {
			t.Errorf("Check(%q) = OK, want a refusal", header)
		}
	}
}

func TestRefusal(t *testing.T) {
	f := func(r auth.Result, wantStatus int, want string) {
		t.Helper()
		status, detail, challenge := r.Refusal(auth.Admin | auth.Metrics)
		if status != wantStatus || challenge != want {
			t.Errorf("result %d is refused with %d %s, want %d %s", r, status, challenge, wantStatus, want)
		}
		if (detail == "") != (r == auth.OK) {
			t.Errorf("detail of result %d = %q", r, detail)
		}
	}
	f(auth.OK, 200, "")
	f(auth.Missing, 401, `Bearer realm="hearth"`)
	f(auth.Unknown, 401, `Bearer realm="hearth", error="invalid_token"`)
	f(auth.WrongScope, 403, `Bearer realm="hearth", error="insufficient_scope", scope="admin metrics"`)
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "Bearer write-secret", "bearer  write-secret ", "Bearer\twrite-secret", "Basic x", "Bearer write-secret\x00", "BEARER ops-secret=="} {
		f.Add([]byte(seed))
	}
	k := tokens()
	f.Fuzz(func(t *testing.T, header []byte) {
		kept := bytes.Clone(header)
		name, got := k.Check([][]byte{header}, auth.Write)
		if !bytes.Equal(header, kept) {
			t.Errorf("Check changed the header from %q to %q", kept, header)
		}
		// An independent reading of the grammar.
		value := strings.Trim(string(header), " \t")
		token, bearer := "", len(value) > 7 && strings.EqualFold(value[:7], "bearer ")
		if bearer {
			token = strings.TrimLeft(value[7:], " ")
		}
		if want := bearer && token == "write-secret"; (got == auth.OK) != want {
			t.Errorf("Check(%q) = %v, want OK: %v", header, got, want)
		}
		if (name == "app") != (got == auth.OK) {
			t.Errorf("Check(%q) names %q with result %v", header, name, got)
		}
	})
}
