package config

// AllKeys lists every key of the schema, dotted.
func AllKeys() []string { return allKeys() }

// Variable names the variable that overrides a key.
func Variable(key string) string { return variable(key) }

// Defaults returns the configuration of an empty file.
func Defaults() *Config { return defaults() }

// DefaultResource returns a resource before its table is read.
func DefaultResource() Resource { return defaultResource() }

// ParsePath parses a path template; the text says what is wrong.
func ParsePath(text string) (Path, string) { return parsePath(text) }
