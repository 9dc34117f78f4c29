package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// semantic is a tag of a release: v1.2.3, v1.2.3-rc.1.
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(rc|beta|alpha)\.(0|[1-9]\d*))?$`)

// releasable says what is missing for a version to be released: a tag of the form
// above, and a dated heading in the changelog. A pre-release needs no heading.
func releasable(root, version string) error {
	match := semantic.FindStringSubmatch(version)
	if match == nil {
		return fmt.Errorf("the version %q is not a tag such as v0.2.0: commit everything and tag the commit (docs/releasing.md), or say SNAPSHOT=1 to try", version)
	}
	if match[4] != "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	heading := regexp.MustCompile(`(?m)^## ` + regexp.QuoteMeta(version) + ` \((\d{4}-\d{2}-\d{2})\)$`).FindSubmatch(text)
	if heading == nil {
		return fmt.Errorf(`CHANGELOG.md has no heading "## %s (YYYY-MM-DD)": put it below "## Unreleased", commit and tag again (docs/releasing.md)`, version)
	}
	if _, err := time.Parse(time.DateOnly, string(heading[1])); err != nil {
		return fmt.Errorf("CHANGELOG.md: the heading of %s: %w", version, err)
	}
	return nil
}

var described = regexp.MustCompile(`^(.+)-(\d+)-g([0-9a-f]+)$`)

// packageVersion makes of what git describe says a version that dpkg and rpm both
// accept and sort:
//
//	v1.2.3           1.2.3
//	v1.2.3-rc.1      1.2.3~rc.1          before 1.2.3
//	v1.2.3-5-gabc    1.2.3+5.gabc        after it, by the number of commits
//	abc1234          0.0~20251125014500.abc1234    no tag yet: by the commit's time
//	…-dirty          ….dirty             (1.2.3+0.dirty of v1.2.3-dirty)
func packageVersion(version string, when time.Time) string {
	version, isDirty := strings.CutSuffix(version, "-dirty")
	commits := ""
	if regexp.MustCompile(`^(v[0-9]|[0-9].*\.[0-9])`).MatchString(version) {
		version = strings.TrimPrefix(version, "v")
		if m := described.FindStringSubmatch(version); m != nil {
			version, commits = m[1], "+"+m[2]+".g"+m[3]
		}
		version = strings.Replace(version, "-", "~", 1)
		if isDirty && commits == "" {
			commits = "+0"
		}
	} else {
		version = "0.0~" + when.UTC().Format("20060102150405") + "." + version
	}
	if isDirty {
		commits += ".dirty"
	}
	return regexp.MustCompile(`[^A-Za-z0-9.+~]`).ReplaceAllString(version+commits, ".")
}

// stamp returns the time that all files get and the commit: SOURCE_DATE_EPOCH, or
// the commit's time, or, without git as in a tarball, a fixed day.
func stamp(root string) (when time.Time, commit string, err error) {
	seconds := int64(1735689600)
	if out, err := command(root, "git", "log", "-1", "--format=%ct %H"); err == nil {
		at, hash, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		commit = hash
		if seconds, err = strconv.ParseInt(at, 10, 64); err != nil {
			return when, "", fmt.Errorf("reading the commit's time: %w", err)
		}
	}
	if said := os.Getenv("SOURCE_DATE_EPOCH"); said != "" {
		if seconds, err = strconv.ParseInt(said, 10, 64); err != nil {
			return when, "", fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
	}
	return time.Unix(seconds, 0).UTC(), commit, nil
}

// command runs a program in a directory and returns its output; what it says of an
// error is part of the error.
func command(dir string, name string, args ...string) ([]byte, error) {
	return commandWith(nil, dir, name, args...)
}

// commandWith is command with additions to the environment.
func commandWith(env []string, dir string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said.Bytes())
	}
	return out.Bytes(), nil
}
