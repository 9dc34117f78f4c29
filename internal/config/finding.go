package config

import (
	"fmt"
	"slices"
	"strings"
)

// origins tell, after Load, where each key of a Config was set, so that whoever
// finds a fault in what it means can say where to mend it.
type origins struct {
	file   string
	places map[string]place
	faulty []string // keys with faults, as places has them
}

// Fault is a fault of what key means, whose place is where it was set, or the
// table that lacks it. Items of arrays are written as in resource.[2].path.
func (c *Config) Fault(key, format string, args ...any) Fault {
	return faultAt(c.origins.file, c.origins.places, key, fmt.Sprintf(format, args...))
}

// Sound tells whether no fault was found in key and all below it: only then does
// it mean anything.
func (c *Config) Sound(key string) bool {
	for _, faulty := range c.origins.faulty {
		if faulty == key || strings.HasPrefix(faulty, key+".") || strings.HasPrefix(key, faulty+".") {
			return false
		}
	}
	return true
}

// Overrides says which keys the environment has set, and what it has replaced.
func (c *Config) Overrides() (all []string) {
	for key, p := range c.origins.places {
		if p.variable == "" {
			continue
		}
		text := p.variable + " sets " + shown(key)
		if p.line > 0 {
			text += fmt.Sprintf(" in place of %s:%d", c.origins.file, p.line)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// faultAt is a fault at the place of key, or of the table around it.
func faultAt(file string, places map[string]place, key, text string) Fault {
	at := key
	for at != "" {
		if _, set := places[at]; set {
			break
		}
		at = at[:max(0, strings.LastIndexByte(at, '.'))]
	}
	p := places[at]
	if p.variable != "" {
		return Fault{Variable: p.variable, Key: shown(key), Text: text}
	}
	return Fault{File: file, Line: p.line, Key: shown(key), Text: text}
}

// Inspect is Load for who wants to know more than that a configuration is faulty:
// it returns what could be read of it, too, nil if that is nothing.
func Inspect(path string, env []string) (*Config, []Fault) {
	l, err := load(path, env)
	if err != nil {
		return nil, err.List
	}
	return l.config, l.faults
}

// NewFaults is the error for a list that is not empty.
func NewFaults(list []Fault) *Faults { return newFaults(list) }
