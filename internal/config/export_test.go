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

// ParseTemplate parses a key template; the text says what is wrong.
func ParseTemplate(text string) (Template, string) { return parseTemplate(text) }

// Ambiguous tells whether keys of the template do not tell their values.
func Ambiguous(t Template, types map[string]string) bool {
	left, _ := t.ambiguous(types)
	return left != ""
}

// ParseSize reads a size as the configuration has it.
func ParseSize(text string) (int64, bool) { return parseSize(text) }

// ParseRate reads a rate as the configuration has it.
func ParseRate(text string) (r Rate, ok bool) {
	ok = true
	rate(&r)(&node{kind: stringNode, text: text}, func(*node, string, ...any) { ok = false })
	return r, ok
}
