package main

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The layout of docs/architecture.md as a test: which package may know which.
// Reading order is request order, so arrows point from the edge to the record.

const module = "hearth"

// arrows says which of our packages each package may import, by directory ("." is
// the module's root). A package that is not listed fails the test: its place in
// the layout is to be decided, not found out. Packages below bench/ count as bench,
// those below proof/ as proof.
var arrows = map[string][]string{
	".":                {"internal/command"},
	"internal/command": {"internal/app", "internal/config"},
	"internal/app": {
		"cache", "cache/embedded", "cache/memory", "cache/redis", "handlers", "internal/admin", "internal/auth", "internal/config", "internal/journal", "internal/limit",
		"internal/listen", "internal/listen/systemd", "internal/metrics", "internal/openapi", "internal/param", "internal/room", "internal/source",
	},
	"handlers":                {"cache", "internal/auth", "internal/framing", "internal/jsonvalue", "internal/limit", "internal/metrics", "internal/openapi", "internal/param", "internal/room", "internal/source"},
	"cache":                   {"cache/gate", "cache/memory", "cache/shared", "internal/room", "internal/source"},
	"cache/gate":              {"cache/memory", "cache/shared", "internal/source"},
	"cache/memory":            {"internal/room"},
	"cache/shared":            {"internal/jsonvalue"},
	"cache/redis":             {"cache/memory", "cache/shared"},
	"cache/embedded":          {"cache/memory", "cache/shared", "internal/private"},
	"cache/protocol":          {},
	"internal/admin":          {"internal/auth", "internal/framing", "internal/metrics"},
	"internal/auth":           {},
	"internal/config":         {"internal/param"},
	"internal/framing":        {},
	"internal/journal":        {},
	"internal/jsonvalue":      {},
	"internal/limit":          {"internal/metrics", "internal/room"},
	"internal/listen":         {},
	"internal/listen/systemd": {"internal/listen"},
	"internal/metrics":        {},
	"internal/openapi":        {"internal/param"},
	"internal/param":          {},
	"internal/private":        {},
	"internal/room":           {},
	"internal/source":         {"internal/jsonvalue", "internal/param", "internal/private"},
	"internal/testkit":        {},
	"internal/testkit/launch": {"internal/command", "internal/testkit"},
	"bench":                   {"bench/load", "bench/report", "internal/testkit"},
	"proof":                   {"bench/load", "bench/report", "proof/history", "internal/testkit"},
}

// keeper says where an import that is not ours may be named, because all that
// depends on it should be found in one place.
type keeper struct {
	imports []string // this path and all below it
	files   []string // patterns of files, as in path.Match, that may name it
	because string
}

var keepers = []keeper{
	{
		imports: []string{"github.com/valyala/fasthttp"},
		files: []string{
			"*.go", "handlers/*.go", "internal/app/*.go", "internal/listen/*.go", "internal/admin/*.go",
			"internal/testkit/*.go", "internal/testkit/launch/*.go", "internal/source/http*.go", "internal/source/origin*.go", "bench/*/*.go", "proof/*/*.go",
		},
		because: "the rest does not know that it is asked by HTTP",
	},
	{
		imports: []string{"github.com/fasthttp/router"},
		files:   []string{"handlers/*.go"},
		because: "routes are registered where they are served",
	},
	{
		imports: []string{"github.com/redis/rueidis"},
		files:   []string{"cache/redis/*.go"},
		because: "the protocol of the tiers is ours, its transport can be exchanged",
	},
	{
		imports: []string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/go-sql-driver/mysql"},
		files:   []string{"internal/source/*.go", "cache/embedded/*.go"},
		because: "SQL is spoken to systems of record, and to the embedded tier's file",
	},
	{
		imports: []string{"net/http"},
		files:   []string{"internal/admin/*.go", "internal/config/*.go", "internal/testkit/*.go", "internal/testkit/launch/*.go", "bench/*/*.go", "proof/*/*.go"},
		because: "one HTTP server in the binary is enough; the profiler is written for net/http, and methods have their names there",
	},
	{
		imports: []string{"github.com/prometheus"},
		files:   []string{"internal/metrics/*.go"},
		because: "what counts knows one package for it, whatever that stands on",
	},
	{
		imports: []string{"testing", "github.com/chromedp", "github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "go.uber.org/goleak"},
		files:   []string{"internal/testkit/*.go", "internal/testkit/launch/*.go"},
		because: "what is for tests stays out of the binary",
	},
	{
		imports: []string{module + "/internal/testkit", module + "/cache/protocol"},
		files:   []string{"internal/testkit/launch/*.go", "bench/*/*.go", "proof/*/*.go"},
		because: "they are for tests, proofs and benches",
	},
}

// goFile is a Go file of the module with what the rules look at.
type goFile struct {
	path string // relative to the module's root, with slashes
	dir  string
	name string
	test bool
	ast  *ast.File // up to the imports, with comments
	text []byte
}

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

// goFiles parses all Go files of the module.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var all []goFile
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
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
		parsed, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		all = append(all, goFile{
			path: p, dir: path.Dir(p), name: name, test: strings.HasSuffix(name, "_test.go"), ast: parsed, text: text,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestArrows(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		dir := f.dir
		if top, _, _ := strings.Cut(dir, "/"); top == "bench" || top == "proof" {
			dir = top
		}
		allowed, ok := arrows[dir]
		if !ok {
			t.Errorf("%s: the package %q has no place in the layout; give it one in arrows", f.path, dir)
			continue
		}
		for _, imported := range f.imports() {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s: imports %q; of ours, %q may import only %q", f.path, ours, dir, allowed)
			}
		}
	}
}

func TestImportsHaveTheirPlace(t *testing.T) {
	files := goFiles(t)
	for _, k := range keepers {
		for _, f := range files {
			i := slices.IndexFunc(f.imports(), k.keeps)
			if f.test || i < 0 {
				continue
			}
			if !k.allows(f.path) {
				t.Errorf("%s: imports %q; only %q may: %s", f.path, f.imports()[i], k.files, k.because)
			}
		}
	}
}

// keeps reports whether an import path is one of the keeper's.
func (k keeper) keeps(imported string) bool {
	return slices.ContainsFunc(k.imports, func(p string) bool {
		return imported == p || strings.HasPrefix(imported, p+"/")
	})
}

// allows reports whether a file may import what is kept.
func (k keeper) allows(file string) bool {
	return slices.ContainsFunc(k.files, func(pattern string) bool {
		ok, _ := path.Match(pattern, file)
		return ok
	})
}

// TestHandlersUseTheTypesOfSourceOnly keeps loading where it belongs: handlers name
// what a record is, the cache decides when it is loaded.
func TestHandlersUseTheTypesOfSourceOnly(t *testing.T) {
	functions := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.dir != "internal/source" || f.test {
			continue
		}
		for _, decl := range parseAll(t, f).Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				functions[fn.Name.Name] = true
			}
		}
	}
	for _, f := range goFiles(t) {
		if f.dir != "handlers" || f.test || !slices.Contains(f.imports(), module+"/internal/source") {
			continue
		}
		ast.Inspect(parseAll(t, f), func(n ast.Node) bool {
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

func parseAll(t *testing.T, f goFile) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestFilesAreShort(t *testing.T) {
	const most, mostOfATest, mostOfMain = 450, 700, 60
	for _, f := range goFiles(t) {
		lines, limit := strings.Count(string(f.text), "\n"), most
		if f.test {
			limit = mostOfATest
		}
		if lines > limit {
			t.Errorf("%s: has %d lines, at most %d are allowed; split it by what its parts are", f.path, lines, limit)
		}
		if f.path == "main.go" {
			if lines > mostOfMain {
				t.Errorf("main.go: has %d lines, at most %d are allowed; verbs belong into internal/command, wiring into internal/app", lines, mostOfMain)
			}
		}
	}
}

// linesOfCode counts the lines that hold more than blanks and comments.
func linesOfCode(text []byte) int {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue // set by the scanner
		}
		for i := range 1 + strings.Count(literal, "\n") {
			lines[file.Line(pos)+i] = true
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
	code := "// Package main …\npackage main\n\n/* a\nb */\nvar s = `1\n2` // x\n\nfunc f() {\n}\n"
	if got := linesOfCode([]byte(code)); got != 5 {
		t.Errorf("lines of code = %d, want 5", got)
	}
	rueidis := keepers[slices.IndexFunc(keepers, func(k keeper) bool { return k.keeps("github.com/redis/rueidis") })]
	f := func(imported string, want bool) {
		t.Helper()
		if got := rueidis.keeps(imported); got != want {
			t.Errorf("keeps(%q) = %v, want %v", imported, got, want)
		}
	}
	f("github.com/redis/rueidis", true)
	f("github.com/redis/rueidis/rueidislock", true)
	f("github.com/redis/rueidisother", false)
	if !rueidis.allows("cache/redis/tier.go") || rueidis.allows("cache/read.go") || rueidis.allows("cache/redis/deeper/tier.go") {
		t.Error("rueidis is not kept in the files of cache/redis")
	}
}
