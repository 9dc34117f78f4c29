// Command release builds what a release of Hearth consists of: archives for every
// platform, Debian and RPM packages, container images, bills of materials and the
// sums of all of them. `make release` and `make deb` call it.
//
// It is a module of its own: what builds packages must not choose the versions of
// what is linked into the server. The same commit, version and Go give the same bytes,
// wherever and whenever it runs: times are those of the commit, owners are root, and
// nothing of the machine is asked.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "release:", err)
		}
		os.Exit(1)
	}
}

// kinds are what can be built, in the order in which it is.
var kinds = []string{"tar", "deb", "rpm", "image", "sbom"}

// options are what the command line says.
type options struct {
	root      string // of the working tree
	out       string // directory
	version   string // what the program will say
	snapshot  bool
	fast      bool // compress quickly
	sign      string
	commit    string // empty where nobody says it
	kinds     []string
	platforms []platform
}

func parse(args []string) (options, error) {
	var o options
	var only, platforms string
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", "..", "the working `DIR`ectory that is built")
	flags.StringVar(&o.out, "out", "", "the `DIR`ectory that is written")
	flags.StringVar(&o.version, "version", "", "the `VERSION`, as git describe says it")
	flags.BoolVar(&o.snapshot, "snapshot", false, "build a version that is not released: any name, no dated heading")
	flags.BoolVar(&o.fast, "fast", false, "compress quickly, for tests")
	flags.StringVar(&o.commit, "commit", "", "the `COMMIT` that is built, where git does not say it")
	flags.StringVar(&o.sign, "sign", os.Getenv("SIGN"), "the `COMMAND` that signs SHA256SUMS, whose name is added to it")
	flags.StringVar(&only, "only", strings.Join(kinds, ","), "the `KINDS` that are built")
	flags.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "the `PLATFORMS` that are built for")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.out == "" || o.version == "" {
		return o, errors.New("-out and -version are needed, and nothing else than flags is taken")
	}
	for kind := range strings.SplitSeq(only, ",") {
		if !slices.Contains(kinds, kind) {
			return o, fmt.Errorf("-only: %q is not one of %q", kind, kinds)
		}
		o.kinds = append(o.kinds, kind)
	}
	for one := range strings.SplitSeq(platforms, ",") {
		system, architecture, ok := strings.Cut(one, "/")
		if !ok || system != "linux" && system != "darwin" {
			return o, fmt.Errorf("-platforms: %q is not linux/ARCHITECTURE or darwin/ARCHITECTURE", one)
		}
		o.platforms = append(o.platforms, platform{system, architecture})
	}
	return o, nil
}

// release is one release while it is built.
type release struct {
	options
	when    time.Time
	number  string // the version as package managers sort it
	work    string // a directory for what is not kept
	notices []byte
	made    []string // names of what is in out
	printed io.Writer
}

func run(args []string, stdout io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	r := &release{options: o, printed: stdout}
	when, commit, err := stamp(o.root)
	if err != nil {
		return err
	}
	r.when, r.commit = when, cmp.Or(commit, o.commit)
	r.number = packageVersion(o.version, r.when)
	if !o.snapshot {
		if err := errors.Join(releasable(o.root, o.version), sameGo(o.root)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "hearth-release-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	if r.notices, err = notices(o.root); err != nil {
		return err
	}
	for _, p := range o.platforms {
		if err := r.build(p); err != nil {
			return fmt.Errorf("building for %s: %w", p, err)
		}
	}
	if len(o.kinds) < len(kinds) {
		return nil // sums are of a whole release
	}
	return r.seal()
}

// build makes everything for one platform.
func (r *release) build(p platform) error {
	program, err := r.compile(p)
	if err != nil {
		return err
	}
	for _, kind := range r.kinds {
		if p.system != "linux" && kind != "tar" && kind != "sbom" {
			continue
		}
		make := map[string]func(platform, string) error{
			"tar": r.archive, "deb": r.deb, "rpm": r.rpm, "image": r.image, "sbom": r.bill,
		}[kind]
		if err := make(p, program); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// write makes a file of the release by a function, and tells its name.
func (r *release) write(name string, fill func(io.Writer) error) error {
	path := filepath.Join(r.out, name)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	r.made = append(r.made, name)
	fmt.Fprintln(r.printed, path)
	return nil
}
