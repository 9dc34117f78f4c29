package doctor

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// RedisFacts are what one server of the shared tier says of itself.
type RedisFacts struct {
	Addr           string
	Info, Settings map[string]string // INFO and CONFIG GET; Settings nil: it refuses that
	Ahead, Took    time.Duration     // of its clock before this one's, to within half of Took
	Refused        []string          // of the account

	Items        bool // batches or counters live there
	WaitReplicas int  // redis.wait_replicas
	Entries      int  // distinct keys that memory may hold, all instances known here; 0: not known
}

// number is a number of INFO or CONFIG; ok is false if there is none.
func number(of map[string]string, name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(of[name], 10, 64)
	return n, err == nil
}

// mostSkew is how far clocks may be apart before a finding. Limits are counted in windows of
// Redis' clock, and copies live by what is left of their lifetime, so a skew alone costs little;
// logs of two machines that cannot be laid side by side cost a night.
const mostSkew = time.Second

// Redis judges one server.
func Redis(r RedisFacts) (f Findings) {
	about, page := "Redis "+r.Addr, "operations.md#redis"
	version := r.Info["redis_version"]
	if version == "" && len(r.Refused) > 0 { // it tells nothing of itself: the rights come first
		f.add(Finding{Level: Fault, About: about, Setting: "rights", Found: r.Refused[0], Page: "consistency.md#what-redis-has-to-allow",
			Change: "give the account what consistency.md lists", Why: "without it Redis cannot be the shared tier"})
		return f
	}
	f.judge(atLeast(version, 7, 0), Finding{Level: Fault, About: about, Setting: "version", Found: version, Page: page,
		Change: "run Redis 7.0 or later, or Valkey", Why: "leases and guards need scripts and expiry times that older ones do not have"})
	for _, refused := range r.Refused {
		f.add(Finding{Level: Fault, About: about, Setting: "rights", Found: refused, Page: "consistency.md#what-redis-has-to-allow",
			Change: "give the account what consistency.md lists", Why: "what is refused is answered with an error, or without memory"})
	}
	if len(r.Refused) == 0 {
		f.add(Finding{Level: OK, About: about, Setting: "rights", Found: "all that is needed"})
	}
	if state, known := r.Info["cluster_state"]; known {
		f.judge(state == "ok", Finding{Level: Fault, About: about, Setting: "cluster_state", Found: fmt.Sprintf("%s, %s of 16384 slots are served", state, cmp.Or(r.Info["cluster_slots_ok"], "?")), Page: page,
			Change: "have every slot served by a master that is up: redis-cli --cluster check, and --cluster fix", Why: "keys of the others are refused (CLUSTERDOWN): reads go to the source, and what lives in Redis alone is answered with 503"})
	}
	skew := r.Ahead.Abs() - r.Took/2
	f.judge(skew < mostSkew, Finding{Level: Warning, About: about, Setting: "clock", Found: fmt.Sprintf("%v from this machine's", r.Ahead.Round(time.Millisecond)), Page: page,
		Change: "run a time service (chrony, systemd-timesyncd) on both", Why: "windows of limits begin by Redis' clock, and logs cannot be laid side by side"})
	r.replication(&f, about)
	if r.Settings == nil {
		f.add(Finding{Level: Unknown, About: about, Setting: "CONFIG GET", Found: "refused", Page: page,
			Change: "look at the service's console: maxmemory-policy, tracking-table-max-keys, client-output-buffer-limit, timeout"})
		return f
	}
	r.memory(&f, about)
	r.settings(&f, about)
	return f
}

func (r *RedisFacts) memory(f *Findings, about string) {
	page := "operations.md#redis"
	policy, most := r.Settings["maxmemory-policy"], r.Settings["maxmemory"]
	bounded := most != "0" && most != ""
	level, why := Warning, "it may evict leases and guards before copies"
	switch {
	case !bounded:
		level = OK
	case strings.HasPrefix(policy, "allkeys") && r.Items:
		level, why = Fault, "items of batches and counters live there alone, and it evicts them"
	case strings.HasPrefix(policy, "allkeys"), policy == "noeviction":
		why = "under pressure it evicts what has no expiry, or refuses writes and counts as away"
	case policy == "volatile-lru", policy == "volatile-lfu":
		level = OK
	}
	f.judge(level == OK, Finding{Level: level, About: about, Setting: "maxmemory-policy", Found: policy, Page: page,
		Change: "CONFIG SET maxmemory-policy volatile-lru, and in redis.conf", Why: why})
	used, _ := number(r.Info, "used_memory")
	limit, _ := number(r.Settings, "maxmemory")
	f.judge(!bounded || used < limit/10*9, Finding{Level: Warning, About: about, Setting: "maxmemory", Found: inUse(used, limit), Page: page,
		Change: "raise maxmemory, or lower ttl.cold", Why: "a Redis without memory refuses writes and counts as away"})
	keys, known := number(r.Info, "tracking_total_keys")
	table, _ := number(r.Settings, "tracking-table-max-keys")
	if known {
		f.judge(table == 0 || keys < table/10*9, Finding{Level: Warning, About: about, Setting: "tracking-table-max-keys", Found: fmt.Sprintf("%d of %d keys in use", keys, table), Page: page,
			Change: "raise tracking-table-max-keys above the distinct keys in all instances' memory, or set it to 0", Why: "beyond it Redis has copies dropped that have not changed: the hit share falls"})
	}
}

// inUse says how much memory is taken of how much.
func inUse(used, limit int64) string {
	if limit == 0 {
		return bytes(used) + " in use, without a bound"
	}
	return bytes(used) + " of " + bytes(limit) + " in use"
}

func (r *RedisFacts) settings(f *Findings, about string) {
	page := "operations.md#redis"
	normal := limitOf(r.Settings["client-output-buffer-limit"], "normal")
	f.judge(normal == "0 0 0" || normal == "", Finding{Level: Warning, About: about, Setting: "client-output-buffer-limit normal", Found: normal, Page: page,
		Change: `CONFIG SET client-output-buffer-limit "normal 0 0 0"`, Why: "when many keys change at once the connection that tells of it is cut, and all of memory is read again"})
	f.judge(r.Settings["timeout"] == "0", Finding{Level: Warning, About: about, Setting: "timeout", Found: r.Settings["timeout"] + " s", Page: page,
		Change: "CONFIG SET timeout 0", Why: "it closes connections that have been idle"})
	alive, _ := number(r.Settings, "tcp-keepalive")
	f.judge(alive > 0 && alive <= 300, Finding{Level: Warning, About: about, Setting: "tcp-keepalive", Found: fmt.Sprintf("%d s", alive), Page: page,
		Change: "CONFIG SET tcp-keepalive 60", Why: "instances that are gone without a close keep their part of the tracking table"})
	clients, _ := number(r.Info, "connected_clients")
	most, _ := number(r.Settings, "maxclients")
	f.judge(most == 0 || clients < most/10*8, Finding{Level: Warning, About: about, Setting: "maxclients", Found: fmt.Sprintf("%d of %d connected", clients, most), Page: page,
		Change: "raise maxclients", Why: "an instance that cannot connect again answers without memory"})
	if r.Items {
		f.judge(r.Settings["appendonly"] == "yes" || r.Settings["save"] != "", Finding{Level: Warning, About: about, Setting: "appendonly", Found: "no, and no save", Page: page,
			Change: "CONFIG SET appendonly yes", Why: "items of batches and counters live there alone, and are gone when it starts anew"})
	}
}

func (r *RedisFacts) replication(f *Findings, about string) {
	page := "operations.md#redis"
	role := r.Info["role"]
	f.judge(role == "master" || role == "", Finding{Level: Fault, About: about, Setting: "role", Found: role, Page: page,
		Change: "name the master in redis.url, or the sentinels with master_set", Why: "a replica takes no leases and no guards"})
	replicas, _ := number(r.Info, "connected_slaves")
	f.judge(int(replicas) >= r.WaitReplicas, Finding{Level: Fault, About: about, Setting: "redis.wait_replicas", Found: fmt.Sprintf("%d replicas connected, %d have to confirm", replicas, r.WaitReplicas), Page: page,
		Change: "start the replicas, or lower redis.wait_replicas", Why: "no write is acknowledged"})
	least, known := number(r.Settings, "min-replicas-to-write")
	if r.Items && replicas > 0 && known {
		f.judge(least > 0, Finding{Level: Warning, About: about, Setting: "min-replicas-to-write", Found: "0", Page: page,
			Change: "CONFIG SET min-replicas-to-write 1, and min-replicas-max-lag 10", Why: "a master that is cut off goes on acknowledging items and counters that are lost with it"})
	}
	if loading := r.Info["loading"]; loading != "" {
		f.judge(loading == "0", Finding{Level: Warning, About: about, Setting: "loading", Found: "it reads its file", Page: page, Change: "wait", Why: "it refuses commands meanwhile"})
	}
}

// limitOf is the limit of a class of clients, as CONFIG GET client-output-buffer-limit lists them.
func limitOf(text, class string) string {
	fields := strings.Fields(text)
	for i := 0; i+3 < len(fields); i += 4 {
		if fields[i] == class {
			return strings.Join(fields[i+1:i+4], " ")
		}
	}
	return ""
}

// atLeast tells whether a version such as "7.2.4" is major.minor or later.
func atLeast(version string, major, minor int) bool {
	var a, b int
	n, _ := fmt.Sscanf(version, "%d.%d", &a, &b)
	return n > 0 && (a > major || a == major && b >= minor)
}
