package config

import (
	"net/url"
	"strconv"
	"strings"
)

// validateRedis checks what the keys of [redis] and its URL say of each other. What
// would be ignored is a fault: it was written in the belief that it protects.
func (l *loader) validateRedis() {
	r := l.config.Redis
	given := map[string]bool{
		"redis.password_file":          !r.Password.Empty(),
		"redis.wait_replicas":          r.WaitReplicas > 0,
		"redis.sentinel_username":      r.SentinelUsername != "",
		"redis.sentinel_password_file": !r.SentinelPassword.Empty(),
		"redis.tls.ca":                 r.TLS.CA != "",
		"redis.tls.cert":               r.TLS.Cert != "",
		"redis.tls.key":                r.TLS.Key != "",
		"redis.tls.server_name":        r.TLS.ServerName != "",
	}
	for _, pair := range [][2]string{
		{"redis.tls.cert", "redis.tls.key"}, {"redis.tls.key", "redis.tls.cert"}, {"redis.sentinel_username", "redis.sentinel_password_file"},
	} {
		if given[pair[0]] && !given[pair[1]] && !l.refused[pair[1]] {
			l.fault(pair[0], "needs %s; write both or neither", pair[1])
		}
	}
	if l.refused["redis.url"] {
		return
	}
	u, err := url.Parse(r.URL.Reveal())
	if r.URL.Empty() || err != nil {
		for key, set := range given {
			if set {
				l.fault(key, "needs redis.url; name a Redis there or remove this key")
			}
		}
		return
	}
	// Neither of two passwords is the obvious one.
	if _, has := u.User.Password(); has && given["redis.password_file"] {
		l.fault("redis.password_file", "names a second password beside the one in redis.url (%s); keep one of the two", l.whereRedis())
	}
	l.validateRedisURL(u, given)
}

// whereRedis says where the URL of Redis stands.
func (l *loader) whereRedis() string {
	if from := l.config.Redis.URL.from; from != nil {
		return from.key
	}
	return l.places.where("redis.url")
}

// validateRedisURL checks the keys that go with some URLs only.
func (l *loader) validateRedisURL(u *url.URL, given map[string]bool) {
	q, at := u.Query(), l.whereRedis()
	trusting, _ := strconv.ParseBool(q.Get("skip_verify"))
	trusting = trusting || q.Has("skip_verify") && q.Get("skip_verify") == ""
	for key, set := range given {
		switch {
		case !set:
		case strings.HasPrefix(key, "redis.tls.") && u.Scheme != "rediss":
			l.fault(key, "needs TLS, and redis.url (%s) begins with %s://; write rediss:// there, or remove this key", at, u.Scheme)
		case (key == "redis.tls.ca" || key == "redis.tls.server_name") && trusting:
			l.fault(key, "has no effect beside skip_verify in redis.url (%s), which trusts every server; remove one of the two", at)
		case strings.HasPrefix(key, "redis.sentinel_") && !q.Has("master_set"):
			l.fault(key, "is for sentinels, and redis.url (%s) names none; add its master_set there, or remove this key", at)
		}
	}
	if trusting {
		l.warnAt("redis.url", "has skip_verify: whoever is in between can read and change what Redis says; name the authority of its certificate in redis.tls.ca instead")
	}
}
