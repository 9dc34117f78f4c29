package config

import (
	"slices"
	"strings"

	"hearth/internal/param"
)

// Nearest returns the candidate that a mistyped name most likely meant, or ""
// when none is near. Of equally near ones the first in the alphabet wins, so
// that the same mistake always reads the same.
func Nearest(name string, candidates []string) string {
	name = strings.ToLower(name)
	// A third of the letters may be wrong: more is another word.
	best, least := "", max(2, len(name)/3)+1
	if len(name) <= 3 { // two other letters are another word
		least = 2
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		d := param.Distance(name, c)
		if len(name) > 2 && len(c) > 2 && (strings.HasPrefix(name, c) || strings.HasPrefix(c, name)) {
			d = min(d, 1) // "warning" for "warn", "integer" for "int"
		}
		if d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// alike returns the candidate that differs from name in case, in dashes, blanks
// and underscores, or in its number only, or else that name is a beginning of, or
// begins with.
func alike(name string, candidates []string) string {
	for _, c := range candidates {
		if folded(c) == folded(name) {
			return c
		}
	}
	for _, c := range candidates {
		if len(name) > 2 && len(c) > 2 && (strings.HasPrefix(folded(name), folded(c)) || strings.HasPrefix(folded(c), folded(name))) {
			return c
		}
	}
	for _, c := range candidates {
		if slices.Contains(strings.Split(others[strings.ToLower(name)], " "), c) || strings.HasSuffix(c, "_"+strings.ToLower(name)) {
			return c
		}
	}
	return ""
}

// others are names that other programs have for what a key of ours means.
var others = map[string]string{
	"sql": "select", "query": "select", "statement": "select", "insert": "upsert", "update": "upsert", "put": "upsert", "remove": "delete",
	"dsn": "url", "uri": "url", "host": "listen url", "addr": "listen url", "address": "listen url", "port": "listen url", "bind": "listen",
	"upstream": "origin", "backend": "origin", "url": "origin", "requests": "rate", "limit": "rate", "expire": "ttl", "expiry": "ttl", "lifetime": "ttl",
	"allowed_origins": "origins", "verbosity": "level", "lvl": "level", "pool_size": "max_conns", "route": "path", "prefix": "key", "key": "by",
}

// folded is a name without what is mistaken most easily.
func folded(name string) string {
	name = strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(strings.ToLower(name))
	if len(name) > 3 {
		name = strings.TrimSuffix(name, "s")
	}
	return name
}
