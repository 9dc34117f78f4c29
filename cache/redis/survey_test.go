package redis

import "testing"

// TestNotes: what a server says of itself is kept, also where RESP3 marks it as verbatim.
func TestNotes(t *testing.T) {
	s := Survey{Info: map[string]string{}}
	s.note("txt:cluster_state:fail\r\ncluster_slots_ok:7\r\n")
	s.note("# Server\r\nredis_mode:cluster\r\n")
	if s.Info["cluster_state"] != "fail" || s.Info["cluster_slots_ok"] != "7" || s.Info["redis_mode"] != "cluster" || len(s.Info) != 3 {
		t.Errorf("noted %q", s.Info)
	}
}
