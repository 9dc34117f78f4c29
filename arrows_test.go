package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The layout of docs/architecture.md as a test: which package may know which, and
// how large, and called what, things may be.

const module = "hearth"

// arrows says which of our packages each package may import. It reads in the order
// of a request, so arrows point from the edge to the record. A line that begins with
// a blank goes on with the one above; "x/..." is x and all below. A package that is
// not here fails the test: its place in the layout is to be decided, not found out.
const arrows = `
.                        internal/command
internal/command         internal/app internal/config internal/doctor internal/draft internal/operator internal/top internal/tty
internal/app             internal/admin internal/auth internal/config internal/doctor internal/journal internal/listen
                         internal/listen/systemd internal/metrics internal/openapi internal/param internal/budget internal/source/...
                         handlers internal/feed internal/limit internal/timeline cache cache/audit cache/memory cache/redis cache/embedded

internal/feed            cache/shared internal/param internal/source/outbox
internal/config          internal/param
internal/listen
internal/listen/systemd  internal/listen
internal/journal
internal/admin           internal/auth internal/dashboard internal/framing internal/manual internal/metrics
internal/dashboard
internal/manual
internal/manual/markdown
internal/operator
internal/doctor
internal/draft           internal/config internal/param internal/source/database internal/source/engine internal/source/sqltext
internal/top             internal/operator internal/timeline internal/metrics internal/tty
internal/tty
internal/timeline        internal/metrics

handlers                 internal/auth internal/framing internal/jsonvalue internal/limit internal/metrics internal/openapi
                         internal/param internal/budget cache internal/source
internal/auth
internal/framing
internal/limit           internal/metrics internal/budget
internal/openapi         internal/param

cache                    cache/audit cache/gate cache/hotkeys cache/memory cache/shared internal/budget internal/source internal/jsonvalue
cache/audit              cache/memory cache/shared
cache/gate               cache/memory cache/shared internal/source
cache/hotkeys            cache/memory
cache/memory             internal/budget
cache/redis              cache/memory cache/shared
cache/embedded           cache/memory cache/shared internal/private internal/sqlitefile
cache/shared             internal/jsonvalue
cache/protocol

internal/source          internal/jsonvalue
internal/source/origin   internal/source internal/jsonvalue internal/param
internal/source/outbox   internal/source/database internal/source/engine internal/source/sqltext internal/source/stdsql internal/sqlitefile internal/param
internal/source/database internal/source internal/jsonvalue internal/source/engine internal/source/mysql internal/source/postgres
                         internal/source/sqlite internal/source/sqltext internal/param
internal/source/postgres internal/source internal/source/engine internal/source/sqltext internal/param
internal/source/mysql    internal/source internal/source/engine internal/source/stdsql internal/source/sqltext internal/param
internal/source/sqlite   internal/source/engine internal/source/stdsql internal/source/sqltext internal/sqlitefile
internal/source/stdsql   internal/source/engine internal/source/sqltext
internal/source/engine   internal/source internal/source/sqltext internal/jsonvalue internal/param
internal/source/sqltext  internal/param

internal/param
internal/jsonvalue
internal/metrics
internal/private
internal/sqlitefile      internal/private
internal/budget

internal/testkit
internal/testkit/launch  internal/testkit
internal/testkit/browser internal/testkit
internal/testkit/inside  internal/command internal/testkit/launch
internal/testkit/outside internal/testkit
internal/testkit/troff
internal/testkit/topology internal/testkit internal/testkit/outside
bench/hitratio           bench/report cache/memory
proof/fresh              cache cache/memory cache/redis internal/source internal/jsonvalue internal/testkit
bench/...                bench/... internal/testkit/...
proof/...                proof/... bench/... internal/testkit/...
release
`

// place says where an import may be named, because all that depends on it should be
// found in one place.
type place struct {
	imports []string // import paths, and all below them
	in      []string // directories, "x/..." for x and all below, or patterns of files
	because string
}

var places = []place{
	{
		imports: []string{"github.com/valyala/fasthttp"},
		in: []string{
			"handlers", "internal/app", "internal/listen", "internal/admin",
			"internal/testkit/...", "bench/...", "proof/...",
		},
		because: "the rest does not know that it is asked by HTTP",
	},
	{
		imports: []string{"github.com/fasthttp/router"},
		in:      []string{"handlers", "bench/plain"},
		because: "routes are registered where they are served",
	},
	{
		imports: []string{"github.com/redis/rueidis"},
		in:      []string{"cache/redis", "bench/plain"},
		because: "the protocol of the tiers is ours, its transport can be exchanged",
	},
	{
		imports: []string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/go-sql-driver/mysql"},
		in:      []string{"internal/source/...", "cache/embedded", "internal/sqlitefile"},
		because: "SQL is spoken to systems of record, and to the embedded tier's file",
	},
	{
		imports: []string{"net/http"},
		in:      []string{"internal/admin", "internal/config", "internal/draft", "internal/operator", "internal/source/origin", "internal/testkit/...", "bench/...", "proof/..."},
		because: "one HTTP server in the binary is enough; the profiler is written for net/http, methods have their names there, and origins and the admin listener are asked with its client",
	},
	{
		imports: []string{"github.com/prometheus"},
		in:      []string{"internal/metrics"},
		because: "what counts knows one package for it, whatever that stands on",
	},
	{
		imports: []string{"github.com/yuin/goldmark", module + "/internal/manual/markdown"},
		in:      []string{"internal/manual/markdown"},
		because: "the manual is HTML before the program is built",
	},
	{
		imports: []string{"testing", "github.com/chromedp", "github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "go.uber.org/goleak"},
		in:      []string{"internal/testkit/..."},
		because: "what is for tests stays out of the binary",
	},
	{
		imports: []string{module + "/internal/testkit", module + "/cache/protocol", module + "/bench", module + "/proof", module + "/test"},
		in:      []string{"internal/testkit/...", "bench/...", "proof/..."},
		because: "the program does not know how it is tested and measured",
	},
}

// goFile is a Go file of the module with what the rules look at.
type goFile struct {
	path string // relative to the module's root, with slashes
	dir  string
	name string
	test bool
	set  *token.FileSet
	ast  *ast.File // with comments
	text []byte
}

func (f goFile) line(pos token.Pos) int { return f.set.Position(pos).Line }

// imports returns the paths that the file imports.
func (f goFile) imports() []string {
	var all []string
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			all = append(all, p)
		}
	}
	return all
}

// goFiles returns all Go files of the module, parsed.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var parsed = sync.OnceValues(func() (all []goFile, err error) {
	err = filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != "." && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "dist") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, p, text, parser.SkipObjectResolution|parser.ParseComments)
		p = filepath.ToSlash(p)
		all = append(all, goFile{path: p, dir: path.Dir(p), name: name, test: strings.HasSuffix(name, "_test.go"), set: set, ast: file, text: text})
		return err
	})
	return all, err
})

// matches reports whether a directory is the one, or below the one, that a pattern names.
func matches(pattern, dir string) bool {
	above, all := strings.CutSuffix(pattern, "/...")
	return dir == above || all && strings.HasPrefix(dir, above+"/")
}

// row is a line of arrows.
type row struct {
	dir   string // or a pattern, as those that it may import
	knows []string
}

func rows() (all []row) {
	for line := range strings.Lines(arrows) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case line[0] == ' ':
			last := &all[len(all)-1]
			last.knows = append(last.knows, fields...)
		default:
			all = append(all, row{fields[0], fields[1:]})
		}
	}
	return all
}

func TestArrows(t *testing.T) {
	table, used := rows(), map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		i := slices.IndexFunc(table, func(r row) bool { return matches(r.dir, f.dir) })
		if i < 0 {
			t.Errorf("%s: the package %q has no place in the layout; give it one in arrows", f.path, f.dir)
			continue
		}
		used[table[i].dir] = true
		for _, imported := range f.imports() {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if ok && !slices.ContainsFunc(table[i].knows, func(p string) bool { return matches(p, ours) }) {
				t.Errorf("%s: imports %q; of ours, %q may import only %q", f.path, ours, f.dir, table[i].knows)
			}
		}
	}
	for _, r := range table {
		if !used[r.dir] {
			t.Errorf("arrows has %q, which is gone", r.dir)
		}
	}
}

func TestImportsHaveTheirPlace(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, p := range places {
			if i := slices.IndexFunc(f.imports(), p.has); !f.test && i >= 0 && !p.allows(f) {
				t.Errorf("%s: imports %q; only %q may: %s", f.path, f.imports()[i], p.in, p.because)
			}
		}
	}
}

// has reports whether an import path is one of the place's.
func (p place) has(imported string) bool {
	return slices.ContainsFunc(p.imports, func(one string) bool { return matches(one+"/...", imported) })
}

// allows reports whether a file may name them.
func (p place) allows(f goFile) bool {
	return slices.ContainsFunc(p.in, func(pattern string) bool {
		file, _ := path.Match(pattern, f.path)
		return file || matches(pattern, f.dir)
	})
}

// TestHandlersUseTheTypesOfSourceOnly keeps loading where it belongs: handlers name
// what a record is, the cache decides when it is loaded.
func TestHandlersUseTheTypesOfSourceOnly(t *testing.T) {
	functions := map[string]bool{}
	for _, f := range goFiles(t) {
		if !matches("internal/source/...", f.dir) || f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				functions[fn.Name.Name] = true
			}
		}
	}
	for _, f := range goFiles(t) {
		if f.dir != "handlers" || f.test || !slices.Contains(f.imports(), module+"/internal/source") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "source" && functions[sel.Sel.Name] {
				t.Errorf("%s: uses the function source.%s; handlers may use only types, constants and errors of source", f.path, sel.Sel.Name)
			}
			return true
		})
	}
}

func TestRootFiles(t *testing.T) {
	found, err := filepath.Glob("*.go")
	if want := []string{"arrows_test.go", "bench_test.go", "main.go", "main_test.go"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("the root has %q, want %q: tests of the whole program belong into test/, the program into internal/command", found, want)
	}
}

func TestFilesAreShort(t *testing.T) {
	const most, mostOfATest, mostOfMain, mostOfAFunction = 430, 460, 60, 60
	for _, f := range goFiles(t) {
		limit := most
		switch {
		case f.test:
			limit = mostOfATest
		case f.path == "main.go":
			limit = mostOfMain
		}
		if lines := strings.Count(string(f.text), "\n"); lines > limit {
			t.Errorf("%s: has %d lines, at most %d are allowed; split it by what its parts are", f.path, lines, limit)
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > mostOfAFunction {
				t.Errorf("%s: %s has %d lines, at most %d are allowed", f.path, fn.Name.Name, n, mostOfAFunction)
			}
		}
	}
}

func TestNamesSayWhatIsInside(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "misc", "stuff"}
	for _, f := range goFiles(t) {
		words := strings.Split(strings.TrimSuffix(f.name, ".go"), "_")
		words = append(words, strings.Split(f.dir, "/")...)
		words = append(words, f.ast.Name.Name)
		for _, word := range words {
			if slices.Contains(empty, word) {
				t.Errorf("%s: %q says nothing; %q are not used as names of files and packages", f.path, word, empty)
			}
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	const least = 120 // characters: a purpose and a reason
	docs := map[string]string{}
	names := map[string]string{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		names[f.dir] = f.ast.Name.Name
		docs[f.dir] += f.ast.Doc.Text()
	}
	for dir, doc := range docs {
		if prefix := "Package " + names[dir] + " "; names[dir] != "main" && !strings.HasPrefix(doc, prefix) {
			t.Errorf("%s: its package comment does not begin with %q: %q", dir, prefix, doc)
		}
		if len(doc) < least {
			t.Errorf("%s: its package comment has %d characters; say what it is for and one reason for its design", dir, len(doc))
		}
	}
	if names["."] != "main" {
		t.Errorf("the module's root holds the package %q, want main", names["."])
	}
}

// TestRulesNotice shows that the rules above can fail.
func TestRulesNotice(t *testing.T) {
	rueidis := places[slices.IndexFunc(places, func(p place) bool { return p.has("github.com/redis/rueidis") })]
	for imported, want := range map[string]bool{
		"github.com/redis/rueidis": true, "github.com/redis/rueidis/rueidislock": true, "github.com/redis/rueidisother": false,
	} {
		if got := rueidis.has(imported); got != want {
			t.Errorf("has(%q) = %v, want %v", imported, got, want)
		}
	}
	for dir, want := range map[string]bool{"cache/redis": true, "cache": false, "handlers": false, "cache/redis/deeper": false} {
		if got := rueidis.allows(goFile{dir: dir, path: dir + "/a.go"}); got != want {
			t.Errorf("rueidis in %s: %v, want %v", dir, got, want)
		}
	}
	if !matches("bench/...", "bench/compare") || matches("bench/...", "benches") || matches("bench", "bench/compare") {
		t.Error("patterns of directories do not match what is below them")
	}
	if all := rows(); len(all) < 20 || !slices.Contains(all[2].knows, "cache/embedded") {
		t.Errorf("the table is read as %q", all)
	}
}
