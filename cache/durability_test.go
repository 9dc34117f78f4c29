package cache

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"hearth/internal/testkit"
)

// durabilityFile names the variable that makes the test binary a child which
// writes to that file until it is killed.
const durabilityFile = "HEARTH_TEST_DURABILITY_FILE"

const batchSize = 10

// runDurabilityChild writes batches and a counter, and says so on standard
// output after each acknowledgement. It reports false in the parent.
func runDurabilityChild() bool {
	path := os.Getenv(durabilityFile)
	if path == "" {
		return false
	}
	cfg := testConfig()
	cfg.Embedded = path
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	c, err := cfg.start()
	if err != nil {
		fmt.Println(err)
		return true
	}
	defer c.Close()
	first, err := c.Count(context.Background(), "batches")
	for n := first; err == nil; n++ {
		var items []Item
		for i := range batchSize {
			items = append(items, Item{Key: fmt.Sprintf("item:%d:%d", n, i), Value: fmt.Appendf(nil, `{"n":%d}`, n)})
		}
		if errs := c.Store(context.Background(), items, 0); errs != nil {
			fmt.Println(errs[0])
			return true
		}
		var count int64
		if count, err = c.Increment(context.Background(), "batches"); err == nil {
			fmt.Println(count)
		}
	}
	fmt.Println(err)
	return true
}

// TestNothingAcknowledgedIsLost kills the process with SIGKILL at random
// moments and looks for all that it had acknowledged.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tier.db")
	rounds := 5
	if testkit.Long() {
		rounds = 30
	}
	for round := range rounds {
		acked := runAndKill(t, path, 1+rand.IntN(40))
		cfg := testConfig()
		cfg.Embedded = path
		c, err := cfg.start()
		if err != nil {
			t.Fatalf("round %d: opening after the kill: %v", round, err)
		}
		if n, err := c.Count(within(t), "batches"); n < acked || err != nil {
			t.Errorf("round %d: the counter is %d, %v; %d was acknowledged", round, n, err, acked)
		}
		for n := range acked {
			for i := range batchSize {
				fixture{c, t, fmt.Sprintf("item:%d:%d", n, i)}.want(fmt.Sprintf(`{"n":%d}`, n))
			}
		}
		c.Close()
	}
}

// runAndKill lets the child acknowledge some batches more, kills it and returns
// the last it acknowledged.
func runAndKill(t *testing.T, path string, batches int) (acked int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), durabilityFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		count, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Errorf("the child says %q", lines.Text())
			break
		}
		acked = count
		if n == batches {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	return acked
}
