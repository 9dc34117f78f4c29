package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"hearth/internal/config"
)

// schemaFile is what editors know config.toml by.
const schemaFile = root + "config.schema.json"

// meanings is what docs/configuration.md says of the keys, without Markdown's links.
func meanings(t *testing.T) map[string]config.Meaning {
	t.Helper()
	link := regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)
	all := map[string]config.Meaning{}
	for key, r := range rows(t) {
		all[key] = config.Meaning{Fallback: r.fallback, Accepts: link.ReplaceAllString(r.accepts, "$1"), Text: link.ReplaceAllString(r.meaning, "$1")}
	}
	// What stands above the tables in config.toml.
	data, err := os.ReadFile(root + "config.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^# -{20,}\n((?:# .*\n)+)#?\[\[?([a-z.]+)\]`).FindAllStringSubmatch(string(data), -1) {
		all[m[2]] = config.Meaning{Text: strings.Join(strings.Fields(strings.ReplaceAll(m[1], "# ", "")), " ")}
	}
	return all
}

// TestSchemaFile: config.schema.json is what the fields of Config and the reference say.
func TestSchemaFile(t *testing.T) {
	want, err := json.MarshalIndent(config.JSONSchema(meanings(t)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	generated(t, schemaFile, append(want, '\n'))
}

// generated compares a file with what it has to be.
func generated(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v); run go test ./internal/config -update", name, err)
	}
}

// validator checks TOML against config.schema.json, as editors do.
func validator(t *testing.T) func(text string) error {
	t.Helper()
	file, err := os.Open(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	document, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("config.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		t.Helper()
		var values map[string]any
		if err := toml.Unmarshal([]byte(text), &values); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		data, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(instance)
	}
}

// TestTheSchemaTakesGoodConfigurations: those that come with the program, and every value
// that a key can have by default.
func TestTheSchemaTakesGoodConfigurations(t *testing.T) {
	valid := validator(t)
	for _, name := range []string{root + "config.toml", root + "deploy/config.toml", root + "examples/fastapi/config.toml", "testdata/full.toml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(string(data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{
		"", "[memory]\nbudget = 1048576\nmissing_share = 1\n", "[memory]\nbudget = \"512 MiB\"\n", "[feed]\nkeep = \"\"\n", "[server]\nread_timeout = \"1m0.5s\"\n",
		"[server]\nsocket_mode = \"0o660\"\n", "[load]\nhot_rate = 10\n", "[cors]\norigins = []\n",
		"[database]\nurl = \"sqlite:x\"\n[[resource]]\nname = \"a\"\npath = \"/a/{id:int}\"\nkey = \"a:{id}\"\nselect = \"SELECT {id}\"\nwatch = \"none\"\nkey_columns = { id = \"\" }\nenvelope = \"\"\n",
	} {
		if _, err := load(t, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if err := valid(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestTheSchemaRefusesWhatTheReaderRefuses in every table: other keys, other types, values
// out of bounds and keys that are missing.
func TestTheSchemaRefusesWhatTheReaderRefuses(t *testing.T) {
	valid := validator(t)
	refused := func(text string) {
		t.Helper()
		if _, err := load(t, text); err == nil {
			t.Errorf("the reader takes\n%s", text)
		}
		if err := valid(text); err == nil {
			t.Errorf("the schema takes\n%s", text)
		}
	}
	all := meanings(t)
	for _, key := range config.AllKeys() {
		table := key[:strings.LastIndexByte(key, '.')]
		refused(config.Setting(table+".surprise", "1"))
		if all[key].Fallback == "required" {
			refused(config.Setting(table, ""))
		}
		for _, wrong := range config.Beyond(key) {
			refused(config.Setting(key, wrong))
		}
	}
	for _, text := range []string{
		"surprise = 1", "[Server]", "server = 1", "[[server]]", "[resource]", "[server]\nadmin_hosts = \"a\"\n", "[server]\nadmin_hosts = [1]\n",
		"[redis]\nurl = \"http://h\"\n", "[database]\nurl = \"oracle://h\"\n", "[server]\nlisten = \"localhost\"\n", "[server]\nmax_body = \"1 MB\"\n",
		"[server]\ndrain = \"5 minutes\"\n", "[server]\ndrain = \"\u0035\"\n", "[log]\nlevel = \"loud\"\n", "[server]\nsocket_mode = \"0060\"\n",
		"[[limit]]\nname = \"a\"\npaths = [\"/*\"]\nrate = \"0/s\"\n", "[[limit]]\nname = \"a\"\npaths = [\"/*\"]\nrate = \"5\"\n", "[[limit]]\nname = \"A\"\npaths = [\"/*\"]\nrate = \"5/s\"\n",
		"[[auth.token]]\nname = \"a\"\nscopes = [\"all\"]\ntoken = \"0123456789abcdef\"\n", "[[auth.token]]\nname = \"a\"\nscopes = [\"write\"]\ntoken = \"short\"\n",
		"[[resource]]\nname = \"a\"\npath = \"/a\"\nkey = \"a\"\nwatch = \"all\"\n", "[[resource]]\nname = \"a\"\npath = \"a\"\nkey = \"a\"\n",
	} {
		refused(text)
	}
}
