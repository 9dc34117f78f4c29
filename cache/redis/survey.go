package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// Survey is what one server of the shared tier says of itself, for an operator who wants to
// know whether it is set up well. Nothing of it is needed to serve.
type Survey struct {
	Addr string
	// Err is why the server could not be asked; then the rest is empty.
	Err error
	// Info is what INFO says, and Settings what CONFIG GET does; managed services refuse that,
	// and then Settings is nil.
	Info, Settings map[string]string
	// Ahead is how far the server's clock is before this machine's, to within half of Took.
	Ahead, Took time.Duration
	// Refused are what the account may not do, in Redis' words.
	Refused []string
}

// surveyed are the settings that docs/operations.md has a word about.
var surveyed = []string{"maxmemory", "maxmemory-policy", "tracking-table-max-keys", "client-output-buffer-limit", "timeout", "tcp-keepalive", "maxclients",
	"appendonly", "appendfsync", "min-replicas-to-write", "save"}

// ownPrefix begins the keys of the server's own.
const ownPrefix = "hearth:"

// SurveyAll asks the servers that the URL leads to: the master that sentinels name, each master
// of a Cluster. keys are examples of keys that records have; none is written. It leaves nothing
// behind but, for a second, a key of its own.
func SurveyAll(ctx context.Context, c Config, keys []string) ([]Survey, error) {
	o, addrs, err := c.servers(ctx)
	if err != nil {
		return nil, err
	}
	var all []Survey
	for i := 0; i < len(addrs) && i < maxSurveyed; i++ {
		s, others := surveyOne(ctx, o, addrs[i], keys)
		all = append(all, s)
		for _, addr := range others {
			if !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
		}
	}
	return all, nil
}

// maxSurveyed bounds how many servers are asked: those of a large Cluster are set up alike.
const maxSurveyed = 32

// surveyOne asks one server; others are the masters of its Cluster.
func surveyOne(ctx context.Context, o rueidis.ClientOption, addr string, keys []string) (s Survey, others []string) {
	s.Addr = addr
	client, _, err := dialOnce(o, addr)
	if err != nil {
		s.Err = fmt.Errorf("connecting: %w", err)
		return s, nil
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	text, err := client.Do(ctx, client.B().Info().Section("everything").Build()).ToString()
	if err != nil {
		if reply := errorReply(err); reply != "" { // then it is well, and the account is not
			s.Refused, s.Info = []string{"INFO: " + reply}, map[string]string{}
			return s, nil
		}
		s.Err = fmt.Errorf("asking INFO: %w", err)
		return s, nil
	}
	s.Info = map[string]string{}
	s.note(text)
	if found, err := client.Do(ctx, client.B().ConfigGet().Parameter(surveyed...).Build()).AsStrMap(); err == nil {
		s.Settings = found
	}
	s.clock(ctx, client)
	cluster := s.Info["redis_mode"] == "cluster"
	if cluster {
		others = mastersOf(ctx, client)
		// Whether all slots are served, INFO does not say.
		if text, err := client.Do(ctx, client.B().ClusterInfo().Build()).ToString(); err == nil {
			s.note(text)
		}
	}
	s.rights(ctx, client, keys, cluster)
	return s, others
}

// note keeps what INFO and its like say. What RESP3 marks as verbatim begins with its format.
func (s *Survey) note(text string) {
	for line := range strings.Lines(strings.TrimPrefix(text, "txt:")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			s.Info[name] = value
		}
	}
}

// clock compares the clocks.
func (s *Survey) clock(ctx context.Context, client rueidis.Client) {
	sent := time.Now()
	at, err := client.Do(ctx, client.B().Time().Build()).AsStrSlice()
	s.Took = time.Since(sent)
	if err != nil || len(at) != 2 {
		return
	}
	seconds, err1 := strconv.ParseInt(at[0], 10, 64)
	micros, err2 := strconv.ParseInt(at[1], 10, 64)
	if err1 == nil && err2 == nil {
		s.Ahead = time.Unix(seconds, micros*1000).Sub(sent.Add(s.Took / 2))
	}
}

// rights tries what the shared tier does, on a key of its own, and whether scripts may have the
// keys of records; what belongs to another node of a Cluster is left to that one.
func (s *Survey) rights(ctx context.Context, client rueidis.Client, keys []string, cluster bool) {
	own := ownPrefix + "canary:doctor:" + shared.NewToken()
	try := func(what string, args ...string) {
		err := client.Do(ctx, client.B().Arbitrary(args...).Build()).Error()
		reply := errorReply(err)
		if reply == "" || cluster && (strings.HasPrefix(reply, "MOVED") || strings.HasPrefix(reply, "ASK") || strings.HasPrefix(reply, "CLUSTERDOWN")) {
			return
		}
		s.Refused = append(s.Refused, what+": "+reply)
	}
	try("CLIENT TRACKING", "CLIENT", "TRACKING", "OFF")
	try("SET of "+ownPrefix+"*", "SET", own, "x", "PX", "1000")
	try("a script", "EVAL", `redis.call('SET', KEYS[1], 'x', 'PX', 1000) redis.call('GET', KEYS[1]) redis.call('PTTL', KEYS[1]) redis.call('PEXPIRETIME', KEYS[1])
redis.call('TIME') redis.call('EXISTS', KEYS[1]) redis.call('DEL', KEYS[1]) redis.call('HINCRBY', KEYS[1], 'n', 1) redis.call('HGET', KEYS[1], 'n') redis.call('HLEN', KEYS[1])
redis.call('HKEYS', KEYS[1]) redis.call('HDEL', KEYS[1], 'n') redis.call('INCRBY', KEYS[1], 1) redis.call('PEXPIRE', KEYS[1], 1) return redis.call('DEL', KEYS[1])`, "1", own)
	try("SCAN", "SCAN", "0", "MATCH", own, "COUNT", "1")
	for _, key := range keys {
		try("reading keys such as "+key, "PTTL", key)
		try("scripts on keys such as "+key, "EVAL", "return 1", "1", key)
	}
}

// mastersOf are the addresses of the masters of a Cluster, as one node knows them.
func mastersOf(ctx context.Context, client rueidis.Client) (addrs []string) {
	text, err := client.Do(ctx, client.B().ClusterNodes().Build()).ToString()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(text) {
		// ID HOST:PORT@BUS[,NAME] FLAGS …
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.Contains(fields[2], "master") || strings.Contains(fields[2], "fail") || strings.Contains(fields[2], "noaddr") {
			continue
		}
		// A node that does not know its own address yet has none, and is the one that is asked.
		if addr, _, _ := strings.Cut(fields[1], "@"); !strings.HasPrefix(addr, ":") && !strings.Contains(fields[2], "myself") {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
