package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"hearth/internal/config"
)

// TestSecretRedactsItself tries every way in which a value usually ends up in a
// log, alone, in exported and in unexported fields, by value and by pointer.
func TestSecretRedactsItself(t *testing.T) {
	const value = "hunter2-s3cret"
	s := config.NewSecret(value)
	type hidden struct{ s config.Secret }
	type shown struct{ S config.Secret }
	things := []any{
		s, &s, hidden{s}, &hidden{s}, shown{s}, &shown{s}, []config.Secret{s}, map[string]config.Secret{"k": s},
		[]any{s}, config.Token{Name: "n", Token: s}, config.Config{Redis: config.Redis{URL: s}},
	}
	check := func(how, got string, always bool) {
		t.Helper()
		for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprintf("%d", []byte(value))} {
			if strings.Contains(got, form) {
				t.Errorf("%s shows the secret: %s", how, got)
			}
		}
		if always && !strings.Contains(got, "[redacted]") {
			t.Errorf("%s: got %s, want [redacted]", how, got)
		}
	}
	for _, thing := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
			check(fmt.Sprintf("%s of %T", verb, thing), fmt.Sprintf(verb, thing), false)
		}
		data, err := json.Marshal(thing)
		if err != nil {
			t.Fatal(err)
		}
		check(fmt.Sprintf("JSON of %T", thing), string(data), false)
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "thing", thing)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "thing", thing)
		check(fmt.Sprintf("slog of %T", thing), b.String(), false)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		check(verb, fmt.Sprintf(verb, s), true)
	}
	data, _ := xml.Marshal(s)
	check("XML", string(data), true)
	check("Println", fmt.Sprintln(s), true)
	check("error", fmt.Errorf("opening %w", fmt.Errorf("%v", s)).Error(), true)
	text, err := s.MarshalText()
	check("MarshalText", string(text), err == nil)
	check("String", s.String(), true)
	if s.Reveal() != value || s.Empty() || !(config.Secret{}).Empty() || !config.NewSecret("").Empty() {
		t.Error("Reveal or Empty is wrong")
	}
	if !s.Equal(config.NewSecret(value)) || s.Equal(config.Secret{}) || !config.NewSecret("").Equal(config.Secret{}) {
		t.Error("Equal is wrong")
	}
}
