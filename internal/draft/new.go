package draft

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hearth/internal/param"
)

// Bounds on a document that is read, in bytes, and on the time that it may take.
const (
	maxDocument = 32 << 20
	fetchWithin = 20 * time.Second
)

// The files beside the configuration that hold URLs with passwords.
const (
	databaseFile = "database-url"
	redisFile    = "redis-url"
)

// New drafts a configuration for what Options.From names, and that is to lie in the directory dir.
// It changes nothing, neither there nor at whom it asks.
func New(ctx context.Context, o Options, dir string) (*Draft, error) {
	var files []File
	if o.Redis != "" && HasPassword(o.Redis) {
		files = append(files, File{redisFile, o.Redis})
		o.redisFile = redisFile
	}
	d, err := newDraft(ctx, o, dir, &files)
	if err != nil {
		return nil, err
	}
	d.Files = files
	return d, nil
}

func newDraft(ctx context.Context, o Options, dir string, files *[]File) (*Draft, error) {
	scheme, rest, _ := strings.Cut(o.From, ":")
	switch scheme {
	case "sqlite":
		file, parameters, _ := strings.Cut(rest, "?")
		if err := isFile(file); err != nil {
			return nil, err
		}
		written := "sqlite:" + relativeTo(dir, file)
		if parameters != "" {
			written += "?" + parameters
		}
		return Database(ctx, o, written)
	case "postgres", "postgresql", "mysql":
		u, err := url.Parse(o.From)
		if err != nil || u.Host == "" && u.Opaque != "" { // what has no parts may hide a password
			return nil, fmt.Errorf("the URL of -from does not parse; write it as \"%s://user:password@host:%s/name\", special characters of the password percent-encoded", scheme, map[bool]string{true: "3306", false: "5432"}[scheme == "mysql"])
		}
		if hasPassword(u) {
			*files = append(*files, File{databaseFile, o.From})
			o.databaseFile = databaseFile
		}
		return Database(ctx, o, o.From)
	}
	if o.Feed {
		return nil, errors.New("the change feed (-feed) is about a database; -from names none")
	}
	if before, after, _ := strings.Cut(o.From, "://"); after != "" && !isHTTP(before) {
		return nil, fmt.Errorf("%q in -from is no scheme that is known; %s", before+"://", whatFromNames)
	}
	switch {
	case IsRecord(o.From):
		return Origin(o)
	case isHTTP(scheme):
		return fromURL(ctx, o)
	}
	text, err := readAll(os.Open(o.From))
	if err != nil {
		return nil, fmt.Errorf("reading -from: %w; %s", err, whatFromNames)
	}
	return OpenAPI(text, nil, o)
}

const whatFromNames = "it names a database (postgres://…, mysql://… for MariaDB, too, sqlite:FILE), an OpenAPI document (a file or a URL), or a record (https://host/users/{id:int})"

func isHTTP(scheme string) bool {
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}

// isFile tells why a file cannot be a database of SQLite, before SQLite would make it.
func isFile(file string) error {
	const remedy = "-from sqlite:FILE names the file of a database that is there"
	if file == "" {
		return errors.New("-from names no file; " + remedy)
	}
	switch info, err := os.Stat(file); {
	case err != nil:
		return fmt.Errorf("opening the database %q of -from: %w; %s", file, errors.Unwrap(err), remedy)
	case info.IsDir():
		return fmt.Errorf("opening the database %q of -from: it is a directory; %s", file, remedy)
	}
	return nil
}

// hasPassword tells whether a URL holds a secret.
func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// HasPassword tells whether the text of a URL holds a secret, or may hide one.
func HasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return strings.Contains(text, "@")
	}
	return hasPassword(u)
}

// shown is the URL of -from for people, and without a password.
func shown(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil && strings.Contains(text, "@"):
		scheme, _, _ := strings.Cut(text, "://")
		return scheme + "://…"
	case err != nil || u.User == nil:
		return text
	}
	user := u.User.Username()
	if _, has := u.User.Password(); has {
		user += ":…"
	}
	before, after, _ := strings.Cut(text, "://")
	return before + "://" + user + after[strings.LastIndexByte(strings.SplitN(after, "/", 2)[0], '@'):]
}

// relativeTo is a file as a configuration in dir names it.
func relativeTo(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	full, err1 := filepath.Abs(file)
	from, err2 := filepath.Abs(dir)
	if err1 != nil || err2 != nil {
		return file
	}
	if relative, err := filepath.Rel(from, full); err == nil {
		return filepath.ToSlash(relative)
	}
	return full
}

// fromURL drafts for a service by its OpenAPI document: at the URL itself, or where services
// have it.
func fromURL(ctx context.Context, o Options) (*Draft, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	base, err := url.Parse(o.From)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("the URL %q of -from cannot be read; write it as https://host/openapi.json, or https://host/users/{id:int}", shown(o.From))
	}
	tries := []*url.URL{base}
	if !strings.HasSuffix(base.Path, ".json") {
		tries = append(tries, base.JoinPath("openapi.json"))
	}
	found := ""
	for i, u := range tries {
		text, fetchErr := fetch(ctx, u)
		if err = fetchErr; err == nil && isDocument(text) {
			return OpenAPI(text, u, o)
		}
		if i == 0 && err == nil {
			found = whatIs(text)
		}
	}
	switch {
	case found != "":
		return nil, fmt.Errorf("%q is answered with %s, and is no OpenAPI document; say which part of the path names a record: -from %s", shown(o.From), found, recordOf(base))
	case err != nil:
		return nil, fmt.Errorf("asking for the OpenAPI document of -from: %w; without one, name a record by its URL: -from %s", err, recordOf(base))
	}
	return nil, fmt.Errorf("there is no OpenAPI document in JSON at %q; name its URL or its file, or a record by its URL: -from %s", shown(o.From), recordOf(base))
}

// whatIs says what an answer is, "" if it is no JSON.
func whatIs(text []byte) string {
	if trimmed := bytes.TrimSpace(text); json.Valid(text) {
		switch trimmed[0] {
		case '{':
			return "an object"
		case '[':
			return "a list"
		}
		return "JSON"
	}
	return ""
}

// recordOf guesses the URL of records by the one of a record, or of a service.
func recordOf(u *url.URL) string {
	segments := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	last := segments[len(segments)-1]
	id := param.Param{Name: "id", Type: param.UUID}
	switch _, wrong := id.Parse(last); {
	case wrong == "":
		segments[len(segments)-1] = "{id:uuid}"
	case isInteger(last):
		segments[len(segments)-1] = "{id:int}"
	case last == "" || strings.HasSuffix(last, ".json"):
		segments[len(segments)-1] = "users/{id:int}"
	default:
		segments = append(segments, "{id:int}")
	}
	return "'" + u.Scheme + "://" + u.Host + "/" + strings.Join(segments, "/") + "'"
}

func isInteger(text string) bool {
	_, wrong := param.Param{Name: "id", Type: param.Int}.Parse(text)
	return wrong == ""
}

func isDocument(text []byte) bool {
	var doc struct{ OpenAPI, Swagger json.RawMessage }
	return json.Unmarshal(text, &doc) == nil && doc.OpenAPI != nil || doc.Swagger != nil
}

// fetch reads what is at a URL.
func fetch(ctx context.Context, u *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s answers %s", u.Redacted(), resp.Status)
	}
	return readAll(resp.Body, nil)
}

// readAll reads a document of bounded size, and closes it.
func readAll(in io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if len(text) > maxDocument {
		return nil, errors.New("it is longer than 32MiB")
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), err
}
