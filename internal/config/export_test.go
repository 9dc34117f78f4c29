package config

// AllKeys lists every key of the schema, dotted.
func AllKeys() []string { return allKeys() }

// Variable names the variable that overrides a key.
func Variable(key string) string { return variable(key) }

// Defaults returns the configuration of an empty file.
func Defaults() *Config { return defaults() }

// DefaultResource returns a resource before its table is read.
func DefaultResource() Resource { return defaultResource() }

// ParseSize reads a size as the configuration has it.
func ParseSize(text string) (int64, bool) { return parseSize(text) }

// ParseRate reads a rate as the configuration has it.
func ParseRate(text string) (r Rate, ok bool) {
	ok = true
	rate(&r)(&node{kind: stringNode, text: text}, func(*node, string, ...any) { ok = false })
	return r, ok
}
