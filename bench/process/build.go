package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Build builds hearth out of the module in repo, as it is shipped, into the file to.
func Build(ctx context.Context, repo, to string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", to, ".")
	build.Dir, build.Env = repo, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building hearth in %q: %w\n%s", repo, err, out)
	}
	return nil
}
