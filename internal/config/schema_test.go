package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestTagsAreKnown: a tag that is misspelled would check nothing.
func TestTagsAreKnown(t *testing.T) {
	known := []string{"key", "file", "default", "range", "check", "oneof", "reload", "instead"}
	seen := 0
	walk(reflect.ValueOf(&Config{}).Elem(), "", func(key string, f field) {
		seen++
		for tag := range strings.FieldsSeq(string(f.tag)) {
			if name, _, found := strings.Cut(tag, ":"); found && !slices.Contains(known, name) {
				t.Errorf("%s has the tag %q, which nobody reads", key, name)
			}
		}
		if name := f.tag.Get("check"); name != "" && name != "plain" && checks[name] == nil {
			t.Errorf("%s names the check %q, which there is not", key, name)
		}
		if f.word != "" && (f.flag.Kind() != reflect.Bool || !f.isTables()) {
			t.Errorf("%s may be the word %q, and no field says so", key, f.word)
		}
		if reload := f.tag.Get("reload"); reload != "" && reload != "no" {
			t.Errorf("%s has reload:%q", key, reload)
		}
		switch f.value.Interface().(type) {
		case int, float64, Bytes:
			if f.tag.Get("range") == "" {
				t.Errorf("%s has no bounds", key)
			}
		}
		if f.isTable() || f.isTables() || f.isFile {
			return
		}
		// Each type is known to store, and bounds parse.
		f.store(&node{typ: variableNode, text: "?"}, func(*node, string, ...any) {})
	})
	if seen < 90 {
		t.Errorf("%d keys were looked at", seen)
	}
}

// TestNeedRestart names each key once, and none that may change.
func TestNeedRestart(t *testing.T) {
	a, b := defaults(), defaults()
	if keys := a.NeedRestart(b); len(keys) > 0 {
		t.Errorf("%q differ between two defaults", keys)
	}
	b.Server.Listen, b.Server.Drain = "127.0.0.1:1", 0
	b.Redis.Password, b.Redis.WaitReplicas = NewSecret("p"), 1
	b.Database.MaxConns, b.Limits = 1, []Limit{{Name: "x"}}
	want := []string{"server.listen", "redis.wait_replicas"}
	if keys := a.NeedRestart(b); !slices.Equal(keys, want) {
		t.Errorf("got %q, want %q", keys, want)
	}
}
