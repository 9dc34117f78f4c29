package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// bad are the settings that are not well, with their level.
func bad(f Findings) (all []string) {
	for _, x := range f {
		if x.Level != OK {
			all = append(all, string(x.Level)+" "+x.Setting)
			if x.Change == "" {
				all = append(all, "and no word about what to change")
			}
		}
	}
	return all
}

func wellRedis() RedisFacts {
	return RedisFacts{Addr: "r", Info: map[string]string{"redis_version": "7.0.15", "role": "master", "used_memory": "100", "connected_clients": "10", "connected_slaves": "1", "tracking_total_keys": "5", "loading": "0"},
		Settings: map[string]string{"maxmemory": "1000", "maxmemory-policy": "volatile-lru", "tracking-table-max-keys": "1000000", "timeout": "0", "tcp-keepalive": "300", "maxclients": "10000",
			"client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "appendonly": "yes", "min-replicas-to-write": "1"}, Items: true}
}

// TestRedis: each setting that docs/operations.md has a word about is judged by itself.
func TestRedis(t *testing.T) {
	if got := bad(Redis(wellRedis())); got != nil {
		t.Errorf("a Redis that is set up well: %q", got)
	}
	for _, c := range []struct {
		want   string
		change func(*RedisFacts)
	}{
		{"fault version", func(r *RedisFacts) { r.Info["redis_version"] = "6.2.7" }},
		{"fault version", func(r *RedisFacts) { r.Info["redis_version"] = "" }},
		{"fault rights", func(r *RedisFacts) { r.Refused = []string{"SET: NOPERM"} }},
		{"fault rights", func(r *RedisFacts) { r.Info, r.Refused = nil, []string{"INFO: NOPERM"} }},
		{"fault cluster_state", func(r *RedisFacts) { r.Info["cluster_state"] = "fail" }},
		{"", func(r *RedisFacts) { r.Info["cluster_state"] = "ok" }},
		{"fault role", func(r *RedisFacts) { r.Info["role"] = "slave" }},
		{"fault redis.wait_replicas", func(r *RedisFacts) { r.WaitReplicas = 2 }},
		{"fault maxmemory-policy", func(r *RedisFacts) { r.Settings["maxmemory-policy"] = "allkeys-lru" }},
		{"warning maxmemory-policy", func(r *RedisFacts) { r.Settings["maxmemory-policy"] = "noeviction" }},
		{"warning maxmemory-policy", func(r *RedisFacts) { r.Settings["maxmemory-policy"] = "volatile-ttl" }},
		{"warning maxmemory", func(r *RedisFacts) { r.Info["used_memory"] = "950" }},
		{"warning tracking-table-max-keys", func(r *RedisFacts) { r.Info["tracking_total_keys"] = "1000000" }},
		{"warning client-output-buffer-limit normal", func(r *RedisFacts) { r.Settings["client-output-buffer-limit"] = "normal 1 1 1" }},
		{"warning timeout", func(r *RedisFacts) { r.Settings["timeout"] = "60" }},
		{"warning tcp-keepalive", func(r *RedisFacts) { r.Settings["tcp-keepalive"] = "0" }},
		{"warning maxclients", func(r *RedisFacts) { r.Info["connected_clients"] = "9999" }},
		{"warning appendonly", func(r *RedisFacts) { r.Settings["appendonly"] = "no" }},
		{"warning min-replicas-to-write", func(r *RedisFacts) { r.Settings["min-replicas-to-write"] = "0" }},
		{"warning clock", func(r *RedisFacts) { r.Ahead = -2 * time.Second }},
		{"unknown CONFIG GET", func(r *RedisFacts) { r.Settings = nil }},
		{"", func(r *RedisFacts) { r.Items, r.Settings["appendonly"] = false, "no" }},
		{"", func(r *RedisFacts) { r.Settings["maxmemory"], r.Settings["maxmemory-policy"] = "0", "noeviction" }},
		{"", func(r *RedisFacts) { r.Ahead, r.Took = 3*time.Second, 5*time.Second }},
		{"", func(r *RedisFacts) { r.Info["redis_version"] = "8.0.1" }},
	} {
		r := wellRedis()
		c.change(&r)
		if got := strings.Join(bad(Redis(r)), ", "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestMachine: the kernel is judged by its files, and what is not there is unknown.
func TestMachine(t *testing.T) {
	files := func(changed ...string) fstest.MapFS {
		all := map[string]string{"proc/sys/net/core/somaxconn": "4096\n", "proc/sys/net/ipv4/tcp_max_syn_backlog": "2048\n", "proc/sys/net/ipv4/tcp_syncookies": "1\n",
			"proc/sys/vm/swappiness": "60\n", "proc/meminfo": "MemTotal:  1000000 kB\nSwapTotal: 0 kB\n"}
		for i := 0; i < len(changed); i += 2 {
			all[changed[i]] = changed[i+1]
		}
		fsys := fstest.MapFS{}
		for name, text := range all {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return fsys
	}
	for _, c := range []struct {
		want string
		m    MachineFacts
	}{
		{"", MachineFacts{Root: files(), Descriptors: 100, Wanted: 100, Budget: 100}},
		{"warning open files (ulimit -n)", MachineFacts{Root: files(), Descriptors: 99, Wanted: 100}},
		{"warning net.core.somaxconn", MachineFacts{Root: files("proc/sys/net/core/somaxconn", "128")}},
		{"warning net.ipv4.tcp_syncookies", MachineFacts{Root: files("proc/sys/net/ipv4/tcp_syncookies", "0")}},
		{"warning vm.swappiness", MachineFacts{Root: files("proc/meminfo", "MemTotal: 10 kB\nSwapTotal: 5 kB\n")}},
		{"warning memory.budget", MachineFacts{Root: files(), Budget: 900 << 20}},
		{"warning memory.budget", MachineFacts{Root: files("sys/fs/cgroup/memory.max", "1000"), Budget: 900}},
		{"", MachineFacts{Root: files("sys/fs/cgroup/memory.max", "max\n"), Budget: 900}},
		{"warning nf_conntrack_max", MachineFacts{Root: files("proc/sys/net/netfilter/nf_conntrack_max", "10", "proc/sys/net/netfilter/nf_conntrack_count", "9")}},
		{"unknown net.core.somaxconn, unknown net.ipv4.tcp_max_syn_backlog, unknown net.ipv4.tcp_syncookies", MachineFacts{Root: fstest.MapFS{}, Budget: 5}},
	} {
		if got := strings.Join(bad(Machine(c.m)), ", "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestDatabase: roles, lag, connections and clocks.
func TestDatabase(t *testing.T) {
	for _, c := range []struct {
		want string
		d    DatabaseFacts
	}{
		{"", DatabaseFacts{Version: "15", Most: 100, Open: 5, MaxConns: 16, Replicas: 1, SyncCommit: "on"}},
		{"fault role", DatabaseFacts{Standby: true, Writes: true}},
		{"warning role", DatabaseFacts{Standby: true}},
		{"warning clock", DatabaseFacts{Ahead: time.Minute}},
		{"warning connections", DatabaseFacts{Most: 20, Open: 5, MaxConns: 16}},
		{"warning replica lag", DatabaseFacts{Replicas: 1, ReplicaLag: time.Minute}},
		{"warning synchronous_commit", DatabaseFacts{Replicas: 1, SyncCommit: "off"}},
	} {
		if got := strings.Join(bad(Database(c.d)), ", "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestBalancer: the examples that are shipped are well, and each setting that is changed is found.
func TestBalancer(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	haproxy, nginx := read("haproxy.cfg"), read("nginx.conf")
	const kept = " proxy_http_version 1.1; proxy_set_header Connection \"\";"
	facts := BalancerFacts{Idle: 75 * time.Second, Drain: 5 * time.Second, InFlight: 20000}
	for _, c := range []struct {
		want, text string
	}{
		{"", haproxy},
		{"", nginx},
		{"warning pool-purge-delay", haproxy + "\ndefaults\n pool-purge-delay 2m\n"},
		{"warning health check", strings.ReplaceAll(haproxy, "/healthz", "/readyz")},
		{"warning observe layer7", haproxy + "\n server x 127.0.0.1:1 check observe layer7\n"},
		{"warning retry-on", strings.ReplaceAll(haproxy, "disable-l7-retry", "x") + "\n retry-on all-retryable-errors\n"},
		{"warning server.drain", haproxy + "\n default-server inter 10s fall 3\n"},
		{"warning maxconn of a server", haproxy + "\n server x 127.0.0.1:1 maxconn 100000\n"},
		{"warning proxy_next_upstream", nginx + "\nproxy_next_upstream error http_503;\n"},
		{"warning proxy_cache", nginx + "\nproxy_cache zone;\n"},
		{"warning keepalive_timeout of the upstream", "upstream a {\n server x;\n keepalive 3;\n keepalive_timeout 2m;\n}\nproxy_pass a;" + kept},
		{"", "upstream a { server x; keepalive 3; keepalive_timeout 60s; } server { location / { proxy_pass http://a;" + kept + " } }"},
		{"", "upstream a {\n keepalive 3; # keepalive_timeout 2m;\n}\n#proxy_cache zone;\nproxy_pass a;" + kept},
		{"warning proxy_cache", "upstream a { keepalive 3; } location / { proxy_pass a; proxy_cache zone;" + kept + " }"},
		{"warning proxy_http_version, Connection", "upstream a { keepalive 3; } location / { proxy_pass a; }"},
		{"warning proxy_http_version, Connection", "upstream a { keepalive 3; } location / { proxy_pass a; proxy_http_version 1.1; proxy_set_header Connection upgrade; }"},
		{"", "# no upstream of nginx: proxy_pass is not here\n" + haproxy},
		{"warning health check", strings.ReplaceAll(haproxy, "option httpchk", "# option httpchk")},
		{"warning keepalive of the upstream", "upstream a {\n server x;\n}\nproxy_pass a;"},
	} {
		f := facts
		f.File, f.Text = "file", c.text
		if got := strings.Join(bad(Balancer(f)), ", "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestSort: what is worst comes first, and the rest stays as it was.
func TestSort(t *testing.T) {
	f := Findings{{Level: OK, Setting: "a"}, {Level: Warning, Setting: "b"}, {Level: Unknown, Setting: "c"}, {Level: Fault, Setting: "d"}, {Level: OK, Setting: "e"}}
	if f.Worst() != Fault {
		t.Errorf("the worst is %q", f.Worst())
	}
	f.Sort()
	var order []string
	for _, x := range f {
		order = append(order, x.Setting)
	}
	if !slices.Equal(order, []string{"d", "b", "c", "a", "e"}) {
		t.Errorf("sorted as %q", order)
	}
}
