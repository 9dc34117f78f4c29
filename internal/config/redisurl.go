package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// checkRedis accepts "" and the URLs of the shared tier. Its complaints never
// quote the text, which may hold a password.
func checkRedis(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil {
		return `is no URL; write it as "redis://user:password@host:6379/0", special characters of the password percent-encoded`
	}
	switch u.Scheme {
	case "redis", "rediss":
		if u.Hostname() == "" {
			return `names no host; write it as "redis://host:6379"`
		}
		// url.Parse takes any digits for a port.
		if p := u.Port(); p != "" {
			if _, ok := portNumber(p); !ok {
				return "has no port from 0 to 65535; write it as \"redis://host:6379\""
			}
		}
		if db := strings.TrimPrefix(u.Path, "/"); u.Path != "" && !decimal(db) {
			return `has a path that is no database number; end it as "redis://host:6379/0" or without a slash`
		}
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return `names no absolute path; write it as "unix:///run/redis/redis.sock"`
		}
	default:
		return `has a scheme that is none of redis, rediss and unix; write it as "redis://host:6379", or "" for the embedded tier`
	}
	// A password that is not encoded ends up there, and no complaint may show it.
	if u.Fragment != "" || strings.Contains(u.RawQuery, "@") {
		return `has a # or an @ where neither can stand; percent-encode special characters of the password, @ as %40, # as %23, ? as %3F`
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return `has parameters that do not parse; write them as "?addr=host2:6379&addr=host3:6379"`
	}
	return checkRedisParameters(u, q)
}

// redisParameters are what a URL of Redis may have behind its question mark, each
// with what is wrong with its values, "" for nothing. Only addr may stand there more
// than once.
var redisParameters = map[string]func(u *url.URL, values []string) string{
	"addr": checkRedisAddresses,
	"db": func(u *url.URL, values []string) string {
		if !decimal(values[0]) {
			return "has a db that is no number; write it as ?db=0"
		}
		if path := strings.TrimPrefix(u.Path, "/"); u.Scheme != "unix" && path != "" && path != values[0] {
			return "names two databases, one behind the host and one as db; keep one of the two"
		}
		return ""
	},
	"master_set": func(u *url.URL, values []string) string {
		switch {
		case values[0] == "":
			return "has an empty master_set; write the name by which the sentinels know the master"
		case u.Scheme == "unix":
			return "has a master_set beside a unix socket; name the sentinels, as in redis://sentinel1:26379?master_set=main"
		}
		return ""
	},
	"skip_verify": func(u *url.URL, values []string) string {
		if _, err := strconv.ParseBool(values[0]); err != nil && values[0] != "" {
			return "has a skip_verify that is neither true nor false; write one of them, or leave it out"
		}
		if u.Scheme != "rediss" {
			return "has skip_verify, and no TLS whose certificates it could be about; write rediss://, or leave it out"
		}
		return ""
	},
	"client_name": func(_ *url.URL, values []string) string {
		if values[0] == "" || strings.ContainsFunc(values[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "has a client_name that Redis does not take; use visible ASCII characters without spaces"
		}
		return ""
	},
	"protocol": func(_ *url.URL, values []string) string {
		if values[0] != "3" {
			return "turns client-side caching off, on which the memory tier rests; leave out protocol, which is 3"
		}
		return ""
	},
	"client_cache": func(_ *url.URL, values []string) string {
		if values[0] == "0" {
			return "turns client-side caching off, on which the memory tier rests; leave out client_cache=0"
		}
		return "has client_cache, which is always on and has no setting; leave it out"
	},
}

// checkRedisAddresses accepts further nodes of a Cluster, or further sentinels.
func checkRedisAddresses(u *url.URL, values []string) string {
	if u.Scheme == "unix" {
		return "has addr beside a unix socket; name all nodes by host and port, as in redis://node1:6379?addr=node2:6379"
	}
	for _, a := range values {
		host, port, err := net.SplitHostPort(a)
		if _, ok := portNumber(port); err != nil || !ok || host == "" || strings.ContainsAny(host, "@/") {
			return `has an addr that is no host and port; write it as "?addr=host2:6379&addr=host3:6379", user and password before the first host only`
		}
	}
	return ""
}

// instead are parameters that other programs take, and what to write here.
var instead = map[string]string{
	"client_cert cert ssl_certfile ssl_cert sslcert certfile tls_cert": "name the client's certificate in redis.tls.cert and its key in redis.tls.key",
	"client_key key ssl_keyfile ssl_key sslkey keyfile tls_key":        "name the client's key in redis.tls.key and its certificate in redis.tls.cert",
	"ca cacert ca_cert cafile ssl_ca_certs ssl_ca sslrootcert tls_ca":  "name the authorities in redis.tls.ca",
	"server_name servername sni ssl_check_hostname":                    "write the name into redis.tls.server_name",
	"insecure insecure_skip_verify ssl_cert_reqs tls_skip_verify":      "write skip_verify=true to trust any server, or name its authority in redis.tls.ca",
	"tls ssl": "write rediss:// for TLS and redis:// without",
	"user username password pass auth authpassword":                                      "write user and password before the host, as in redis://user:password@host:6379, or the password into the file of redis.password_file",
	"sentinel_username sentinel_user":                                                    "write it as redis.sentinel_username",
	"sentinel_password":                                                                  "write it into the file of redis.sentinel_password_file",
	"master master_name mastername sentinel_master service_name":                         "write it as master_set",
	"dial_timeout write_timeout read_timeout timeout connect_timeout socket_timeout":     "memory.link_timeout bounds all waiting for Redis",
	"max_retries min_retry_backoff max_retry_backoff pool_size max_conns min_idle_conns": "the connections to Redis have no settings of their own",
	"read_only readonly route_by_latency route_randomly replica_only read_from_replicas": "replicas are not read from, because they lag",
	"database":               "write it as db",
	"addrs nodes hosts host": "write it as addr, once for each node",
}

// checkRedisParameters refuses what would be ignored, or break a promise: a typo must
// be found when it is written, not when Redis refuses an instance at night.
func checkRedisParameters(u *url.URL, q url.Values) string {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		check, known := redisParameters[name]
		if !known {
			return unknownParameter(name)
		}
		if len(q[name]) > 1 && name != "addr" {
			return fmt.Sprintf("has the parameter %s twice; keep one of the two", name)
		}
		if wrong := check(u, q[name]); wrong != "" {
			return wrong
		}
	}
	return ""
}

// unknownParameter says what to write instead of a parameter. Names are shown, and
// values never.
func unknownParameter(name string) string {
	for others, text := range instead {
		if slices.Contains(strings.Fields(others), strings.ToLower(name)) {
			return fmt.Sprintf("has the parameter %s, which has no effect here: %s", quote(name), text)
		}
	}
	var known []string
	for k := range redisParameters {
		if k != "protocol" && k != "client_cache" {
			known = append(known, k)
		}
	}
	if meant := Nearest(name, known); meant != "" {
		return fmt.Sprintf("has the unknown parameter %s; did you mean %s?", quote(name), meant)
	}
	slices.Sort(known)
	return fmt.Sprintf("has the unknown parameter %s; there are %s", quote(name), strings.Join(known, ", "))
}

// decimal tells whether text is the number of a database of Redis.
func decimal(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}
