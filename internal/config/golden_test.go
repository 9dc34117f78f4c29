package config_test

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hearth/internal/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFaultsGolden compares all faults of the deliberately bad files, and thus
// their wording, order and lines, with what was agreed on.
func TestFaultsGolden(t *testing.T) {
	env := []string{
		"HEARTH_SERVER_ADMIN=nowhere",
		"HEARTH_MEMORY_LINK_TIMEOUT=2 seconds",
		"HEARTH_LOAD_LEASE=forever",
		"HEARTH_LOG_ACCESS_SAMPLE=half",
		"HEARTH_AUTH_OPEN_WRITES=yes",
		"HEARTH_DATABASE_MAX_CONNS=0x10",
	}
	for _, name := range []string{"awful", "broken"} {
		t.Run(name, func(t *testing.T) {
			t.Chdir("testdata") // so that the faults show no path of this machine
			_, err := config.Load(name+".toml", env)
			var faults *config.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want *Faults", err)
			}
			dir, _ := os.Getwd()
			got := strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"
			golden := name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("faults differ (-want +got), run with -update to accept:\n%s", diff)
			}
			if strings.Contains(got, "s3cret") {
				t.Error("a fault shows a secret")
			}
		})
	}
}

// comparing is how two configurations are compared: not by where they are from.
var comparing = cmp.Options{cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateComparable(netip.Prefix{})}

// load writes a configuration into a fresh directory and loads it.
func load(tb testing.TB, text string, env ...string) (*config.Config, error) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return config.Load(path, env)
}

// mustLoad is load for configurations that have no fault.
func mustLoad(tb testing.TB, text string, env ...string) *config.Config {
	tb.Helper()
	c, err := load(tb, text, env...)
	if err != nil {
		tb.Fatalf("Load: %v", err)
	}
	return c
}

// faultsOf returns "key: text" of each fault; variables stand in for keys.
func faultsOf(tb testing.TB, err error) []string {
	tb.Helper()
	if err == nil {
		return nil
	}
	var faults *config.Faults
	if !errors.As(err, &faults) {
		tb.Fatalf("got %T (%v), want *Faults", err, err)
	}
	var texts []string
	for _, f := range faults.List {
		at := f.Key
		if f.Variable != "" {
			at = f.Variable
		}
		texts = append(texts, at+": "+f.Text)
	}
	return texts
}

// wantFault checks that a load failed with one fault that contains the text.
func wantFault(tb testing.TB, err error, text string) {
	tb.Helper()
	got := faultsOf(tb, err)
	if len(got) != 1 || !strings.Contains(got[0], text) {
		tb.Errorf("got faults %q, want one with %q", got, text)
	}
}

func TestFileFaults(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.toml")
	if err := os.WriteFile(big, slices.Repeat([]byte("#\n"), 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(path, want string) {
		t.Helper()
		_, err := config.Load(path, nil)
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "-config") {
			t.Errorf("Load(%q): got %v, want the path, %q and -config", path, err, want)
		}
	}
	f(filepath.Join(dir, "missing.toml"), "no such file")
	f(dir, "is a directory")
	f(big, "longer than 4MiB")
	f("", "no configuration file")
}
