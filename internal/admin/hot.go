package admin

import (
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// mostHot is how many hot keys one answer lists at most.
const mostHot = 100

// hot lists the hottest keys: ?by=reads, bytes, misses or loads, ?limit=1 to 100.
func (a *Admin) hot(ctx *fasthttp.RequestCtx) {
	by, limit := "reads", mostHot
	seen := map[string]bool{}
	for key, value := range ctx.QueryArgs().All() {
		name := string(key)
		var err error
		switch {
		case seen[name]:
			problem(ctx, fasthttp.StatusUnprocessableEntity, printable(key)+" may be given once")
			return
		case name == "by":
			by = string(value)
		case name == "limit":
			limit, err = strconv.Atoi(string(value))
			if err != nil || limit < 1 || limit > mostHot {
				problem(ctx, fasthttp.StatusUnprocessableEntity, "limit must be a number from 1 to "+strconv.Itoa(mostHot))
				return
			}
		default:
			problem(ctx, fasthttp.StatusUnprocessableEntity, "the query may have by and limit, and nothing else")
			return
		}
		seen[name] = true
	}
	keys, ok := a.config.Hot(by, limit)
	if !ok {
		problem(ctx, fasthttp.StatusUnprocessableEntity, "by must be one of: "+strings.Join(a.config.HotOrders, ", "))
		return
	}
	a.respond(ctx, fasthttp.StatusOK, map[string]any{"by": by, "keys": keys})
}
