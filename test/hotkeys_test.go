package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// tick is what a test looks at of one.
type tick struct {
	Seq    int                `json:"seq"`
	Values map[string]float64 `json:"values"`
	Hot    []hotKey           `json:"hot"`
}

type hotKey struct {
	Key, Resource                    string
	Reads, Bytes, Misses, Loads, TTL float64
}

func tickOf(t *testing.T, in *launch.Instance) (got tick) {
	t.Helper()
	answer := in.AskAdmin(http.MethodGet, "/api/tick", "")
	if err := json.Unmarshal([]byte(answer.Body), &got); err != nil && answer.Code == 200 {
		t.Fatalf("%v: %v", err, answer)
	}
	return got
}

func hotBy(t *testing.T, in *launch.Instance, by string) (keys []hotKey) {
	t.Helper()
	answer := in.AskAdmin(http.MethodGet, "/api/hot?limit=5&by="+by, "")
	var got struct{ Keys []hotKey }
	if err := json.Unmarshal([]byte(answer.Body), &got); err != nil {
		t.Fatalf("%v: %v", err, answer)
	}
	return got.Keys
}

// TestHotKeys: what is asked for most is listed first, from memory and from the source, on both
// tiers.
func TestHotKeys(t *testing.T) {
	t.Parallel()
	for _, tier := range []string{"redis", "embedded"} {
		t.Run(tier, func(t *testing.T) {
			t.Parallel()
			var in *launch.Instance
			if tier == "redis" {
				in = demo(t, testkit.Redis(t))
			} else {
				in = launch.Ready(t, launch.Demo(t))
			}
			for round := range 60 {
				for id := 1; id <= 4; id++ {
					if round%id == 0 {
						in.Get(fmt.Sprintf("/user/%d", id))
					}
				}
			}
			for id := 100; id < 103; id++ {
				for range 102 - id + 1 { // 100 is loaded twice as often as any other
					in.Get(fmt.Sprintf("/user/%d", id))
					in.AskAdmin(http.MethodPost, "/api/invalidate", fmt.Sprintf(`{"keys":["user:%d"]}`, id))
				}
			}
			await(t, "the hottest keys stand in their order", func() bool {
				keys := hotBy(t, in, "reads")
				return len(keys) >= 4 && keys[0].Key == "user:1" && keys[1].Key == "user:2" && keys[2].Key == "user:3" && keys[0].Reads > keys[1].Reads && keys[0].Resource == "user"
			})
			if keys := hotBy(t, in, "loads"); len(keys) == 0 || keys[0].Key != "user:100" || keys[0].Loads <= keys[0].Misses/2 {
				t.Errorf("by loads: %+v", keys)
			}
			if keys := hotBy(t, in, "misses"); len(keys) == 0 || keys[0].Misses < keys[len(keys)-1].Misses {
				t.Errorf("by misses: %+v", keys)
			}
			for _, k := range hotBy(t, in, "reads") {
				if (k.Key == "user:1") != (k.TTL > 0) && k.Key == "user:1" {
					t.Errorf("%s has %v s left in memory", k.Key, k.TTL)
				}
			}
			await(t, "a tick has them", func() bool { hot := tickOf(t, in).Hot; return len(hot) > 0 && hot[0].Key == "user:1" })
		})
	}
}

// TestALargeRecordIsCountedOnce although several ways look it up before one answers.
func TestALargeRecordIsCountedOnce(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	in := demo(t, redis)
	redis.Do("SET", "item:large", `"`+strings.Repeat("x", 300_000)+`"`)
	redis.Do("SET", "item:small", `"x"`)
	for range 100 {
		in.Get("/item/large")
		in.Get("/item/small")
	}
	await(t, "both are counted", func() bool {
		by := map[string]float64{}
		for _, k := range hotBy(t, in, "reads") {
			by[k.Key] = k.Reads
		}
		ratio := by["item:large"] / by["item:small"]
		return ratio > 0.8 && ratio < 1.25
	})
}
