//go:build !race

package auth_test

import (
	"testing"

	"hearth/internal/auth"
)

func TestCheckAllocatesNothing(t *testing.T) {
	k := tokens()
	header := [][]byte{[]byte("Bearer write-secret")}
	if got := testing.AllocsPerRun(1000, func() { k.Check(header, auth.Write) }); got != 0 {
		t.Errorf("Check allocates %v times, want 0", got)
	}
}
