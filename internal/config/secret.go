package config

import (
	"fmt"
	"log/slog"
)

// redacted is what a Secret shows instead of itself.
const redacted = "[redacted]"

// Secret is text that shows itself to nobody: every way of printing or
// encoding it yields "[redacted]". Reveal is the one way to the value.
// The zero Secret is empty. A Secret is immutable and safe to share.
type Secret struct {
	// A pointer, because fmt prints unexported fields of a surrounding struct
	// by reflection, without asking any method of ours: behind a pointer it
	// finds an address where it would have found the text.
	value *string
	from  *secretOrigin // the file that holds it; nil: none
}

// NewSecret wraps value. All empty secrets are alike.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Current is the text as it is now: a file that holds it is read again, so that what
// was rotated there counts without a reload. An error names key and file; what was
// read last is still what Reveal returns.
func (s Secret) Current() (string, error) {
	if s.from == nil {
		return s.Reveal(), nil
	}
	return s.from.read()
}

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty tells whether there is nothing to keep secret.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// Equal tells whether both hold the same text. It is no constant-time
// comparison: use it to compare configurations, never to check a credential.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]", for %#v.
func (s Secret) GoString() string { return redacted }

// Format prints "[redacted]" whatever the verb: %x and %d would get around String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]", for every encoder that knows TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns "[redacted]" to log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
