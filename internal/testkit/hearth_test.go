package testkit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnswersByTier(t *testing.T) {
	const metrics = `# TYPE hearth_requests_total counter
hearth_requests_total{code="200",resource="user",tier="memory"} 1000
hearth_requests_total{code="200",resource="item",tier="memory"} 1
hearth_requests_total{code="200",resource="user",tier="redis"} 95
hearth_requests_total{code="404",resource="user",tier="memory"} 5
hearth_memory_bytes 12345
`
	got, err := answersByTier(metrics)
	want := map[string]float64{"memory": 1001, "redis": 95, "other status": 5}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := answersByTier(`hearth_requests_total{code="200",tier="memory"} many`); err == nil {
		t.Error("it reads a number that is none")
	}
}
