package deploy_test

import (
	"os/exec"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// TestPackagesAreLinted lets the distributions' own programs look at the packages. What
// they find and is no fault is in deb/lintian-overrides and rpm/rpmlint.toml, with the reason.
func TestPackagesAreLinted(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	lintian := testkit.Need(t, "lintian", []string{"lintian"})
	if out, err := exec.Command(lintian, "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", older(t, "amd64")).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	rpmlint := testkit.Need(t, "rpmlint", []string{"rpmlint"})
	if out, err := exec.Command(rpmlint, "--config", "rpm/rpmlint.toml", olderRPM(t)).CombinedOutput(); err != nil || !strings.Contains(string(out), " 0 errors, 0 warnings") {
		t.Errorf("rpmlint: %v\n%s", err, out)
	}
}
