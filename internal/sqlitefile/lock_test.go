package sqlitefile

import (
	"os"
	"strconv"
	"testing"
)

func TestHoldersAreThoseThatKeepWritersOut(t *testing.T) {
	t.Parallel()
	list := `1: POSIX  ADVISORY  WRITE 4194300 fe:00:7 120 120
2: POSIX  ADVISORY  READ 4194301 fe:00:7 128 128
3: POSIX  ADVISORY  WRITE 4194302 fe:00:9 1073741825 1073741825
3: -> POSIX  ADVISORY  WRITE 4194303 fe:00:9 1073741825 1073741825
4: FLOCK  ADVISORY  WRITE 4194304 fe:00:9 0 EOF
5: POSIX  ADVISORY  WRITE 4194302 fe:00:9 1073741826 1073742335
6: POSIX  ADVISORY  WRITE ` + strconv.Itoa(os.Getpid()) + ` fe:00:7 120 120
7: POSIX  ADVISORY  WRITE 4194305 fe:00:8 120 120
`
	if got, want := holdersIn(list, 9, 7), "process 4194300, process 4194302"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := holdersIn(list, 0, 0); got != "" {
		t.Errorf("of no file: got %q", got)
	}
}
