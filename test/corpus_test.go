package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exchange is one case of testdata/http: bytes for a connection, and what comes
// back. Its file is written for people; a case is
//
//	== a title
//	# comments
//	rfc: 9112, 6.3
//	at: public admin     (the listeners; public if it is left out)
//	> a line that is sent, with CR LF
//	> a line that is sent without, and \r \n \t \0 \xff \\ {x*9000} in it\
//	< 200
//	  Name: value        (or Name, !Name, ~ words of the body)
//	closed
//
// $post is a path that takes POST on either listener. The last line says what
// becomes of the connection. Behind the bytes of each case goes a request for
// /canary, which must be answered if the connection is open and must not if it
// is closed; "alone" leaves it out, "alone close" ends the sending instead.
// "closed quietly" is a connection that ends without an answer having said so.
type exchange struct {
	file, title, rfc string
	at               []string
	sent             string
	alone, end       bool
	answers          []expected
	open, quiet      bool
}

// expected is one answer.
type expected struct {
	status int
	head   bool
	want   []string // lines below it
}

// chapter is one file of the corpus.
type chapter struct {
	title, intro string
	cases        []exchange
}

func readCorpus(t *testing.T) []chapter {
	t.Helper()
	var all []chapter
	for _, name := range []string{"framing", "chunked", "lines", "requestline", "host", "size", "connection", "content"} {
		text, err := os.ReadFile(filepath.Join("testdata", "http", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseChapter(name+".txt", string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "http", "*.txt"))
	if err != nil || len(files) != len(all) {
		t.Fatalf("%d files of %d are read: name them in readCorpus (%v)", len(all), len(files), err)
	}
	return all
}

func parseChapter(file, text string) (chapter, error) {
	head, rest, _ := strings.Cut(text, "\n== ")
	var c chapter
	lines := strings.Split(strings.ReplaceAll(head, "# ", ""), "\n")
	c.title = lines[0]
	c.intro = strings.Trim(strings.ReplaceAll(strings.Join(lines[1:], "\n"), "#\n", "\n"), "\n# ")
	titles := map[string]bool{}
	for i, part := range strings.Split(rest, "\n== ") {
		x, err := parseExchange(part)
		if err == nil && titles[x.title] {
			err = fmt.Errorf("title %q is given twice", x.title)
		}
		if err != nil {
			return c, fmt.Errorf("%s, case %d: %w", file, i+1, err)
		}
		x.file, titles[x.title] = file, true
		c.cases = append(c.cases, x)
	}
	return c, nil
}

func parseExchange(text string) (exchange, error) {
	title, rest, _ := strings.Cut(text, "\n")
	x := exchange{title: title, at: []string{"public"}}
	ended := false
	for _, line := range strings.Split(rest, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "#", "":
			if strings.TrimSpace(line) != "" && key == "" {
				if len(x.answers) == 0 {
					return x, fmt.Errorf("%q belongs to no answer", line)
				}
				last := &x.answers[len(x.answers)-1]
				last.want = append(last.want, strings.TrimSpace(line))
			}
		case "rfc:":
			x.rfc = value
		case "at:":
			x.at = strings.Fields(value)
		case ">":
			sent, err := unescape(value)
			if err != nil {
				return x, fmt.Errorf("%q: %w", line, err)
			}
			x.sent += sent
		case "<":
			code, head, _ := strings.Cut(value, " ")
			status, err := strconv.Atoi(code)
			if err != nil {
				return x, err
			}
			x.answers = append(x.answers, expected{status: status, head: head == "HEAD"})
		case "alone":
			x.alone, x.end = true, value == "close"
		case "open", "closed":
			x.open, x.quiet, ended = key == "open", value == "quietly", true
		default:
			return x, fmt.Errorf("%q is no line of a case", line)
		}
	}
	if !ended || x.rfc == "" || len(x.at) == 0 {
		return x, fmt.Errorf("%q must have rfc: and end with open or closed", x.title)
	}
	return x, nil
}

var repeats = regexp.MustCompile(`\{([^{}*]+)\*([0-9]+)\}`)

// unescape turns a line of a case into the bytes it stands for.
func unescape(line string) (string, error) {
	line = repeats.ReplaceAllStringFunc(line, func(m string) string {
		parts := repeats.FindStringSubmatch(m)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
	var b bytes.Buffer
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' {
			b.WriteByte(line[i])
			continue
		}
		if i++; i == len(line) {
			return b.String(), nil // without CR LF
		}
		switch at := strings.IndexByte(`rnt0\`, line[i]); {
		case at >= 0:
			b.WriteByte("\r\n\t\x00\\"[at])
		case line[i] == 'x' && i+2 < len(line):
			n, err := strconv.ParseUint(line[i+1:i+3], 16, 8)
			if err != nil {
				return "", err
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			return "", fmt.Errorf("%q is no escape", line[i-1:i+1])
		}
	}
	return b.String() + "\r\n", nil
}

// on tells whether the case is played on a listener.
func (x exchange) on(listener string) bool { return slices.Contains(x.at, listener) }
