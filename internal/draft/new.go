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
	if u, err := url.Parse(o.Redis); o.Redis != "" && err == nil && hasPassword(u) {
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
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("opening the database of -from: %w", err)
		}
		written := "sqlite:" + relativeTo(dir, file)
		if parameters != "" {
			written += "?" + parameters
		}
		return Database(ctx, o, written)
	case "postgres", "postgresql", "mysql":
		if u, err := url.Parse(o.From); err == nil && hasPassword(u) {
			*files = append(*files, File{databaseFile, o.From})
			o.databaseFile = databaseFile
		}
		return Database(ctx, o, o.From)
	}
	if o.Feed {
		return nil, errors.New("the change feed (-feed) is about a database; -from names none")
	}
	switch {
	case IsRecord(o.From):
		return Origin(o)
	case scheme == "http" || scheme == "https":
		return fromURL(ctx, o)
	}
	text, err := readAll(os.Open(o.From))
	if err != nil {
		return nil, fmt.Errorf("reading -from: %w; it names a database (postgres://…, mysql://…, sqlite:FILE), an OpenAPI document (a file or a URL), or a record (https://host/users/{id:int})", err)
	}
	return OpenAPI(text, nil, o)
}

// hasPassword tells whether a URL holds a secret.
func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has || u.Query().Has("password")
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
		return nil, fmt.Errorf("the URL %q of -from cannot be read", o.From)
	}
	tries := []*url.URL{base}
	if !strings.HasSuffix(base.Path, ".json") {
		tries = append(tries, base.JoinPath("openapi.json"))
	}
	for _, u := range tries {
		text, fetchErr := fetch(ctx, u)
		if err = fetchErr; err == nil && isDocument(text) {
			return OpenAPI(text, u, o)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the OpenAPI document of -from: %w; without one, name a record by its URL, such as %s/users/{id:int}", err, strings.TrimRight(o.From, "/"))
	}
	return nil, fmt.Errorf("there is no OpenAPI document in JSON at %q; name its URL or its file, or a record by its URL, such as %s/users/{id:int}", o.From, strings.TrimRight(o.From, "/"))
}

func isDocument(text []byte) bool {
	var doc struct{ OpenAPI, Swagger string }
	return json.Unmarshal(text, &doc) == nil && doc.OpenAPI+doc.Swagger != ""
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
