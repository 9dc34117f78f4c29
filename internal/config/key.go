package config

import "hearth/internal/param"

// keyUse is a key template, with what the message about a collision needs.
type keyUse struct {
	key      string // of the configuration
	template param.Template
	pattern  param.Pattern
	counter  bool
}

// validateKeys refuses templates of which one can make a key of the other: two
// resources would overwrite each other's records.
func (l *loader) validateKeys() {
	var uses []keyUse
	for i, r := range l.config.Resources {
		at := indexed("resource", i)
		if !l.given(at+".path") || !l.given(at+".key") {
			continue
		}
		uses = append(uses, keyUse{key: at + ".key", template: r.Key, pattern: r.Key.Pattern(r.Path.Params())})
	}
	for i, c := range l.config.Counters {
		if key := indexed("counter", i) + ".key"; l.given(key) {
			uses = append(uses, keyUse{key: key, template: c.Key, pattern: c.Key.Pattern(nil), counter: true})
		}
	}
	for i, a := range uses {
		if a.pattern.Meets(param.ReservedPattern()) {
			l.fault(a.key, "%q can make keys that begin with %q, which is reserved; begin it with a literal", a.template.Text, param.Reserved)
		}
		for _, b := range uses[:i] {
			switch {
			case a.counter && b.counter: // two paths may count together
			case a.template.Anonymous() == b.template.Anonymous():
				l.fault(a.key, "%q is the template of another key (%s: %q); take another prefix", a.template.Text, l.places.where(b.key), b.template.Text)
			case a.pattern.Meets(b.pattern):
				l.fault(a.key, "%q can be the same key as %q (%s); take another prefix", a.template.Text, b.template.Text, l.places.where(b.key))
			}
		}
	}
}
