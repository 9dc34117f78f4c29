package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/internal/param"
)

// Meaning is what the reference says of a key.
type Meaning struct{ Fallback, Accepts, Text string }

// object is one of JSON.
type object = map[string]any

// JSONSchema describes a configuration for editors. It is in the draft that all of them know,
// and says no more than what the reader certainly refuses: what depends on other keys, or on
// what a text means, is left to hearth check.
func JSONSchema(meanings map[string]Meaning) object {
	s := tableSchema(reflect.ValueOf(defaults()).Elem(), "", meanings)
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "The configuration of Hearth"
	s["description"] = "config.toml; docs/configuration.md is the long form of what is said here."
	return s
}

// tableSchema describes a table, whose own key is at.
func tableSchema(table reflect.Value, at string, meanings map[string]Meaning) object {
	keys, required := object{}, []string{}
	for _, f := range fieldsOf(table) {
		key := dotted(at, f.name)
		if meanings[key].Fallback == "required" {
			required = append(required, f.name)
		}
		keys[f.name] = described(keySchema(f, key, meanings), f, key, meanings[key])
	}
	s := object{"type": "object", "additionalProperties": false, "properties": keys}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// keySchema describes what a key may be.
func keySchema(f field, key string, meanings map[string]Meaning) object {
	switch {
	case f.isFile:
		return object{"type": "string"}
	case f.isTable():
		return tableSchema(f.value, key, meanings)
	case f.isTables():
		list := object{"type": "array", "items": tableSchema(reflect.New(f.value.Type().Elem()).Elem(), key, meanings)}
		if f.word != "" {
			return object{"anyOf": []object{{"const": f.word}, list}}
		}
		return list
	}
	s := valueSchema(f)
	if text, has := f.tag.Lookup("default"); has || f.value.Kind() == reflect.Slice && meanings[key].Fallback == "`[]`" {
		if value := defaultValue(f, text); value != nil {
			s["default"] = value
		}
	}
	return s
}

// described adds what the reference says, and what the tags do.
func described(s object, f field, key string, m Meaning) object {
	text := m.Text
	if m.Accepts != "" {
		text += "\n\nAccepts " + strings.ReplaceAll(m.Accepts, `\|`, "|") + "."
	}
	if m.Fallback != "" && m.Fallback != "required" {
		text += " Default: " + m.Fallback + "."
	}
	if f.tag.Get("reload") == "no" {
		text += " Needs a restart."
	}
	if text = strings.TrimSpace(text); text != "" {
		s["description"] = text
	}
	return s
}

// patterns are the forms of texts. They are wider than the checks of the same names: an
// editor must not underline what the server takes.
var patterns = map[string]string{
	"address":      `^unix:.|:[0-9]{1,5}$`,
	"bearer":       bearer.String(),
	"by":           `^(client|global|header:.+)$`,
	"column":       ``,
	"database":     `^$|^sqlite:.|^(postgres|postgresql|mysql)://`,
	"envelope":     `^$|` + envelope.String(),
	"filled":       `\S`,
	"header":       `^\S+$`,
	"header value": `^\S(.*\S)?$`,
	"host":         `^[a-z0-9_.-]+$`,
	"method":       `^(\*|GET|HEAD|PUT|POST|DELETE|OPTIONS)$`,
	"name":         `^[a-z][a-z0-9_]{0,63}$`,
	"origin":       `^(\*|https?://\S+)$`,
	"redis":        `^$|^(redis|rediss|unix)://`,
	"table":        `\S`,
	"title":        ``,
	"token":        `^[!-~]{16,}$`,
	"watched":      `\S`,
}

// Forms of values that are texts in TOML.
const (
	durationPattern = `^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	sizePattern     = `^\s*[0-9]{1,15}\s*(B|KiB|MiB|GiB)?\s*$`
	ratePattern     = `^0*[1-9][0-9]*/[smh]$`
	modePattern     = `^(0o)?0*[67][0-7]{2}$`
)

// valueSchema describes one value.
func valueSchema(f field) object {
	switch f.value.Interface().(type) {
	case bool:
		return object{"type": "boolean"}
	case int:
		return bounded(object{"type": "integer"}, f, func(text string) any { n, _ := strconv.Atoi(text); return n })
	case float64:
		return bounded(object{"type": "number"}, f, func(text string) any { x, _ := strconv.ParseFloat(text, 64); return x })
	case time.Duration:
		if f.tag.Get("default") == "0s" { // no time is none
			return text("^$|" + durationPattern)
		}
		return text(durationPattern)
	case Bytes:
		size := bounded(object{"type": "integer"}, f, func(text string) any {
			n, _ := parseSize(&node{typ: stringNode, text: text})
			return int64(n)
		})
		either := []object{size, text(sizePattern)}
		if f.tag.Get("default") == "auto" {
			either = append(either, object{"const": "auto"})
		}
		return object{"anyOf": either}
	case Rate:
		return text(ratePattern)
	case fs.FileMode:
		return text(modePattern)
	case param.Path:
		return text("^/")
	case param.Template:
		return text(`\S`)
	case param.URL:
		return text("^https?://.")
	case []string:
		return object{"type": "array", "items": checkedText(f)}
	case []param.Area:
		return object{"type": "array", "items": text("^/")}
	case []netip.Prefix:
		return object{"type": "array", "items": text("^[0-9a-fA-F:.]+/[0-9]{1,3}$")}
	case map[string]string:
		return object{"type": "object", "additionalProperties": checkedText(f)}
	}
	return checkedText(f) // a text, or a secret one
}

func text(pattern string) object {
	if pattern == "" {
		return object{"type": "string"}
	}
	return object{"type": "string", "pattern": pattern}
}

// checkedText describes a text by what the tags ask of it.
func checkedText(f field) object {
	if words := f.tag.Get("oneof"); words != "" {
		return object{"type": "string", "enum": strings.Fields(words)}
	}
	pattern, known := patterns[f.tag.Get("check")]
	if !known && f.tag.Get("check") != "" {
		panic("BUG: the check " + f.tag.Get("check") + " has no pattern")
	}
	return text(pattern)
}

// bounded adds the bounds of a number.
func bounded(s object, f field, parse func(string) any) object {
	least, most, _ := strings.Cut(f.tag.Get("range"), " ")
	s["minimum"], s["maximum"] = parse(least), parse(most)
	return s
}

// defaultValue is a default as JSON has it, nil where that says nothing.
func defaultValue(f field, text string) any {
	switch f.value.Interface().(type) {
	case bool:
		return text == "true"
	case int:
		n, _ := strconv.Atoi(text)
		return n
	case float64:
		x, _ := strconv.ParseFloat(text, 64)
		return x
	}
	switch f.value.Kind() {
	case reflect.Slice:
		return strings.Fields(text)
	case reflect.Map:
		return nil
	}
	return text
}

// Setting is TOML that sets one key in its table, or, without a value, has an empty table.
func Setting(key, value string) string {
	var b strings.Builder
	at := ""
	names := strings.Split(key, ".")
	if value != "" {
		names = names[:len(names)-1]
	}
	for _, name := range names {
		at = dotted(at, name)
		if fieldOf(at).isTables() {
			fmt.Fprintf(&b, "[[%s]]\n", at)
		} else {
			fmt.Fprintf(&b, "[%s]\n", at)
		}
	}
	if value != "" {
		fmt.Fprintf(&b, "%s = %s\n", key[strings.LastIndexByte(key, '.')+1:], value)
	}
	return b.String()
}

// Beyond lists values that a key may not have by its type and bounds.
func Beyond(key string) []string {
	f := fieldOf(key)
	least, most, hasBounds := strings.Cut(f.tag.Get("range"), " ")
	switch v := f.value.Interface().(type) {
	case int:
		n, _ := strconv.Atoi(least)
		m, _ := strconv.Atoi(most)
		return []string{strconv.Itoa(n - 1), strconv.Itoa(m + 1), `"many"`}
	case float64:
		m, _ := strconv.ParseFloat(most, 64)
		return []string{"-1", fmt.Sprint(int(m) + 1), `"many"`}
	case time.Duration, Rate, fs.FileMode:
		return []string{"5", `"long"`, "true"}
	case Bytes:
		return []string{"1", `"huge"`, "true"}
	case bool:
		return []string{`"yes"`, "1"}
	default:
		if f.tag.Get("oneof") != "" && !hasBounds && !slices.Contains([]reflect.Kind{reflect.Slice}, reflect.TypeOf(v).Kind()) {
			return []string{`"another"`}
		}
		return []string{"true", "7"}
	}
}
