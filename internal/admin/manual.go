package admin

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"hearth/internal/manual"
)

// manualPrefix is the path below which the pages of the manual are.
const manualPrefix = "/manual/"

// manualIndex lists the pages of the manual, or what a search finds in them.
func (a *Admin) manualIndex(ctx *fasthttp.RequestCtx) {
	query, fault := a.only(ctx, "q", "")
	if most := manual.MaxQuery; fault == "" && utf8.RuneCountInString(query) > most {
		fault = fmt.Sprintf("q may have %d characters at most", most)
	}
	switch {
	case fault != "":
		problem(ctx, fasthttp.StatusUnprocessableEntity, fault)
	case strings.TrimSpace(query) == "":
		respondFile(ctx, "")
	default:
		ctx.SetContentType("text/html; charset=utf-8")
		ctx.Response.Header.Set(fasthttp.HeaderContentSecurityPolicy, manual.ContentSecurityPolicy())
		respondPacked(ctx, manual.Search(query))
	}
}

// manualPage is one page of the manual, or a drawing that a page shows.
func (a *Admin) manualPage(ctx *fasthttp.RequestCtx) {
	respondFile(ctx, strings.TrimPrefix(string(ctx.URI().PathOriginal()), manualPrefix))
}

// respondFile answers with a file of the manual. Browsers may keep it, and ask whether it has
// changed: it is the release's and says nothing about the server.
func respondFile(ctx *fasthttp.RequestCtx, name string) {
	file, ok := manual.Find(name)
	if !ok {
		problem(ctx, fasthttp.StatusNotFound, "the manual has no such page; /manual lists those that it has")
		return
	}
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderCacheControl, "private, no-cache")
	h.Set(fasthttp.HeaderETag, file.Tag)
	h.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	if strings.HasPrefix(file.Type, "text/html") { // a drawing has its styles in it
		h.Set(fasthttp.HeaderContentSecurityPolicy, manual.ContentSecurityPolicy())
	}
	if has(ctx.Request.Header.PeekAll(fasthttp.HeaderIfNoneMatch), file.Tag) {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	ctx.SetContentType(file.Type)
	if ctx.Request.Header.HasAcceptEncoding("gzip") {
		h.Set(fasthttp.HeaderContentEncoding, "gzip")
		ctx.SetBody(file.Packed)
		return
	}
	ctx.SetBody(file.Content)
}

// has reports whether the lines of If-None-Match have a tag, by the weak comparison of
// RFC 9110, section 8.8.3.2. Tags of files have no commas.
func has(lines [][]byte, tag string) bool {
	for _, line := range lines {
		for one := range bytes.SplitSeq(line, []byte(",")) {
			one = bytes.TrimSpace(one)
			if string(one) == "*" || string(bytes.TrimPrefix(one, []byte("W/"))) == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
