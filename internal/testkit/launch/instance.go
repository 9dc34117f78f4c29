package launch

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hearth/internal/testkit"
)

// Configure writes the configuration file anew. It is read at the next reload.
func (in *Instance) Configure(text string) {
	in.tb.Helper()
	if err := os.WriteFile(in.File, []byte(text), 0o600); err != nil {
		in.tb.Fatal(err)
	}
}

// AwaitReady returns when the instance has reached all that it needs. One that ends
// before that ends the test.
func (in *Instance) AwaitReady() {
	in.tb.Helper()
	testkit.Eventually(in.tb, Patience, "the instance is ready", func() bool {
		if !in.Running() {
			in.tb.Fatalf("the instance ended before it was ready; its log:\n%s", in.Logs())
		}
		return in.AskAdmin(http.MethodGet, "/readyz", "").Code == http.StatusOK
	})
}

// Signal sends the instance signals, one after the other.
func (in *Instance) Signal(signals ...syscall.Signal) {
	in.tb.Helper()
	for _, s := range signals {
		if err := in.signal(s); err != nil {
			in.tb.Fatalf("sending %v: %v", s, err)
		}
	}
}

// Process is the instance's, for what the kernel says of it; it has none of its own
// with Program.Here.
func (in *Instance) Process() *testkit.Process { return in.running.(process).Process }

// Kill ends the instance at once, as a power cut would, and waits until it is gone.
// A second time it does nothing.
func (in *Instance) Kill() {
	in.ended = true
	in.running.Kill()
}

// Wait returns how the instance has ended, once it has.
func (in *Instance) Wait() syscall.WaitStatus {
	in.tb.Helper()
	select {
	case <-in.Done():
	case <-time.After(Patience):
		in.tb.Fatalf("the instance is still running after %v", Patience)
	}
	return in.status()
}

// Stop asks the instance to end as a service manager does, and waits until it has;
// an exit status other than 0 is a failure.
func (in *Instance) Stop() {
	in.tb.Helper()
	in.ended = true
	in.Signal(syscall.SIGTERM)
	if got := in.Wait(); got != 0 {
		in.tb.Errorf("the instance ended with %#x, want exit status 0", int(got))
	}
}

// Logs is all that the instance has printed.
func (in *Instance) Logs() string {
	text, err := os.ReadFile(in.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Reload sends SIGHUP and waits until a reload has ended with that result: "ok" or
// "failed".
func (in *Instance) Reload(result string) {
	in.tb.Helper()
	before := in.Reloads(result)
	in.Signal(syscall.SIGHUP)
	testkit.Eventually(in.tb, Patience, "a reload is "+result, func() bool { return in.Reloads(result) == before+1 })
}

// Reloads is how many reloads have ended with that result.
func (in *Instance) Reloads(result string) int {
	in.tb.Helper()
	return int(in.Metric(`hearth_reloads_total{result="` + result + `"}`))
}

// Metric is the value of a series of /metrics, given as it is printed there.
func (in *Instance) Metric(series string) float64 {
	in.tb.Helper()
	page := in.AskAdmin(http.MethodGet, "/metrics", "")
	for line := range strings.Lines(page.Body) {
		if text, found := strings.CutPrefix(line, series+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				in.tb.Fatalf("reading %q: %v", line, err)
			}
			return v
		}
	}
	in.tb.Fatalf("/metrics has no %s; it answered %.200v", series, page)
	return 0
}

// Answered is how many requests the instance has answered with 200 so far, by the tier
// that had the answer; others are under "other status". It may be called from any
// goroutine.
func (in *Instance) Answered() (map[string]float64, error) {
	page := in.AskAdmin(http.MethodGet, "/metrics", "")
	if page.Code != http.StatusOK {
		return nil, fmt.Errorf("/metrics is answered %v", page)
	}
	tiers := map[string]float64{}
	for line := range strings.Lines(page.Body) {
		labels, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(labels, "hearth_requests_total{") {
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the metric %q: %w", line, err)
		}
		tier := "other status"
		if strings.Contains(labels, `code="200"`) {
			_, tier, _ = strings.Cut(labels, `tier="`)
			tier, _, _ = strings.Cut(tier, `"`)
		}
		tiers[tier] += count
	}
	return tiers, nil
}
