package config

import (
	"reflect"
	"strings"
)

// field is a key and what it fills of a Config: a table, a list of tables, or a
// value.
type field struct {
	name   string
	value  reflect.Value
	tag    reflect.StructTag
	isFile bool // the key names the file that holds value, a Secret
	inItem bool // of a list of tables

	word string        // what a list of tables may be instead, "" for nothing
	flag reflect.Value // that says so
}

// isTable tells whether the fields of a type are keys.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && (t.Field(0).Tag.Get("key") != "")
}

// isTable tells whether the key is a table in single brackets.
func (f field) isTable() bool { return isTable(f.value.Type()) }

// isTables tells whether it is one in double brackets.
func (f field) isTables() bool {
	return f.value.Kind() == reflect.Slice && isTable(f.value.Type().Elem())
}

// isList tells of a value that the environment cannot override.
func (f field) isList() bool {
	return f.value.Kind() == reflect.Slice || f.value.Kind() == reflect.Map
}

// fieldsOf lists the keys of a table, in their order in the struct.
func fieldsOf(table reflect.Value) (all []field) {
	for i := range table.NumField() {
		tag := table.Type().Field(i).Tag
		if name := tag.Get("key"); name != "" {
			f := field{name: name, value: table.Field(i), tag: tag}
			if word, flag, found := strings.Cut(tag.Get("instead"), " "); found {
				f.word, f.flag = word, table.FieldByName(flag)
			}
			all = append(all, f)
		}
		if name := tag.Get("file"); name != "" {
			all = append(all, field{name: name, value: table.Field(i), tag: tag, isFile: true})
		}
	}
	return all
}

// namesOf lists the names of everything that a table may hold.
func namesOf(table reflect.Value) (names []string) {
	for _, f := range fieldsOf(table) {
		names = append(names, f.name)
	}
	return names
}

// walk visits every key below table, whose own is at. What is in lists of tables it
// visits once for each list, in an item of its own.
func walk(table reflect.Value, at string, visit func(key string, f field)) {
	for _, f := range fieldsOf(table) {
		key := dotted(at, f.name)
		visit(key, f)
		if f.isTable() {
			walk(f.value, key, visit)
		} else if f.isTables() {
			walk(reflect.New(f.value.Type().Elem()).Elem(), key, func(key string, f field) {
				f.inItem = true
				visit(key, f)
			})
		}
	}
}

// allNames lists every key there is, dotted, in the order of the schema; also, if
// asked for, the tables that stand within others.
func allNames(tables bool) (names []string) {
	walk(reflect.ValueOf(&Config{}).Elem(), "", func(key string, f field) {
		if !f.isTable() && !f.isTables() || tables && strings.Contains(key, ".") {
			names = append(names, key)
		}
	})
	return names
}

// allKeys lists every key that has a value.
func allKeys() []string { return allNames(false) }

// dotted is the whole key of a name in a table; the root has none.
func dotted(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// defaults returns the configuration of an empty file. It has no resources and
// therefore serves nothing but the built-in paths.
func defaults() *Config {
	c := &Config{}
	setDefaults(reflect.ValueOf(c).Elem())
	return c
}

// setDefaults fills a table with what its tags say.
func setDefaults(table reflect.Value) {
	for _, f := range fieldsOf(table) {
		if f.isTable() {
			setDefaults(f.value)
		} else if !f.isTables() && !f.isFile {
			f.storeDefault()
		}
	}
}

// storeDefault stores what the tag says. A list without one is empty.
func (f field) storeDefault() {
	text, has := f.tag.Lookup("default")
	// A default is read like an override, so it is held to the same checks.
	n := &node{typ: variableNode, text: text}
	if f.value.Kind() == reflect.Slice {
		n = &node{typ: listNode}
		for item := range strings.FieldsSeq(text) {
			n.items = append(n.items, &node{typ: stringNode, text: item})
		}
	} else if !has {
		return
	}
	f.store(n, func(_ *node, format string, _ ...any) { panic("BUG: the default of " + f.name + ": " + format) })
}

// NeedRestart lists the keys that next has otherwise than c although they change
// with a restart only.
func (c *Config) NeedRestart(next *Config) (keys []string) {
	var now []any
	value := func(f field) any { return f.value.Interface() }
	// A secret has two keys and one value; it is named once.
	fixed := func(f field) bool { return f.tag.Get("reload") == "no" && (!f.isFile || f.tag.Get("key") == "") }
	walk(reflect.ValueOf(c).Elem(), "", func(_ string, f field) {
		if fixed(f) {
			now = append(now, value(f))
		}
	})
	walk(reflect.ValueOf(next).Elem(), "", func(key string, f field) {
		if fixed(f) {
			if !reflect.DeepEqual(now[0], value(f)) {
				keys = append(keys, key)
			}
			now = now[1:]
		}
	})
	return keys
}
