package config

import (
	"reflect"
	"slices"
	"strings"
)

// AllKeys lists every key of the schema, dotted.
func AllKeys() []string { return allKeys() }

// Variable names the variable that overrides a key.
func Variable(key string) string { return VariableOf(key) }

// Defaults returns the configuration of an empty file.
func Defaults() *Config { return defaults() }

// DefaultResource returns a resource before its table is read.
func DefaultResource() (r Resource) {
	setDefaults(reflect.ValueOf(&r).Elem())
	return r
}

// ParseSize reads a size as the configuration has it.
func ParseSize(text string) (int64, bool) {
	size, ok := parseSize(&node{typ: stringNode, text: text})
	return int64(size), ok
}

// ParseRate reads a rate as the configuration has it.
func ParseRate(text string) (r Rate, ok bool) {
	ok = true
	storeRate(&r, &node{typ: stringNode, text: text}, func(*node, string, ...any) { ok = false })
	return r, ok
}

func fieldOf(key string) (found field) {
	walk(reflect.ValueOf(&Config{}).Elem(), "", func(k string, f field) {
		if k == key {
			found = f
		}
	})
	return found
}

// Default returns the default of a key, if it has one.
func Default(key string) (text string, has bool) {
	f := fieldOf(key)
	text, has = f.tag.Lookup("default")
	return text, has && !f.isFile
}

// IsDefault tells whether a TOML literal means the default of a key.
func IsDefault(key, literal string) bool {
	doc := parseDocument("", []byte("x = "+literal))
	f := fieldOf(key)
	f.value = reflect.New(f.value.Type()).Elem()
	other := f
	other.value = reflect.New(f.value.Type()).Elem()
	bad := false
	complain := func(*node, string, ...any) { bad = true }
	f.store(doc.tree.root.table["x"], complain)
	other.storeDefault()
	return !bad && !doc.broken && reflect.DeepEqual(f.value.Interface(), other.value.Interface())
}

// Bounds returns what a key is bounded by, as TOML writes it.
func Bounds(key string) (least, most string, has bool) {
	f := fieldOf(key)
	least, most, has = strings.Cut(f.tag.Get("range"), " ")
	if slices.Contains([]reflect.Kind{reflect.Int64}, f.value.Kind()) {
		least, most = "`\""+least+"\"`", "`\""+most+"\"`"
	}
	return least, most, has
}

// RestartKeys lists the keys that change with a restart only.
func RestartKeys() (keys []string) {
	walk(reflect.ValueOf(&Config{}).Elem(), "", func(key string, f field) {
		if f.tag.Get("reload") == "no" {
			keys = append(keys, key)
		}
	})
	return keys
}
