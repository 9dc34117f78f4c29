//go:build hearth_fault

package redis

import (
	"os"
	"strings"
)

// faultFile names a file: while it exists, invalidations of ordinary keys get lost, and those
// of canaries do not. So a link looks well, and its copies grow old.
var faultFile = os.Getenv("FAULT_DROP_PUSHES")

// losesPush plants the fault that the audit is there to find.
func losesPush(key string) bool {
	if faultFile == "" || strings.HasPrefix(key, "hearth:") {
		return false
	}
	_, err := os.Stat(faultFile)
	return err == nil
}
