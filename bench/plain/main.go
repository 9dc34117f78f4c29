// Command plain is the service that an engineer would write of the same parts: fasthttp,
// its router, rueidis with client-side caching and automatic pipelining, and go-json. The
// comparison measures Hearth beside it, as what a user has without Hearth. It answers
// what is in Redis and nothing else: no database, no tags, no limits, no metrics.
//
//	plain [-addr A] [-redis URL] [-cache BYTES] [-read docache|get] [-flush D] [-single]
//
// All settings of rueidis are its own but those that flags name: -cache is what each
// of its four connections keeps, -read get asks Redis every time, -flush is how long
// commands wait for others, and -single lets all of them share one connection.
package main

import (
	"context"
	"flag"
	"log"
	"time"

	"github.com/fasthttp/router"
	"github.com/goccy/go-json"
	"github.com/redis/rueidis"
	"github.com/valyala/fasthttp"
)

// answer is what GET /user/{id} says.
type answer struct {
	User   json.RawMessage `json:"user"`
	Source string          `json:"source"`
}

const ttl = time.Minute // of copies; Redis tells when a record changes before

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "`address` to listen on")
	url := flag.String("redis", "redis://127.0.0.1:6379", "`URL` of Redis")
	read := flag.String("read", "docache", "how to read: docache or get")
	size := flag.Int("cache", rueidis.DefaultCacheBytes, "`bytes` of copies on each connection")
	flush := flag.Duration("flush", 0, "`delay` of commands that wait for others")
	single := flag.Bool("single", false, "one connection to Redis")
	flag.Parse()
	option, err := rueidis.ParseURL(*url)
	if err != nil {
		log.Fatal(err)
	}
	option.CacheSizeEachConn, option.MaxFlushDelay = *size, *flush
	if *single {
		option.PipelineMultiplex, option.ForceSingleClient = -1, true
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		log.Fatal(err)
	}
	s := &service{client: client, cached: *read == "docache"}
	r := router.New()
	r.GET("/user/{id}", s.user)
	r.GET("/user", s.users)
	log.Fatal((&fasthttp.Server{Handler: r.Handler, NoDefaultServerHeader: true}).ListenAndServe(*addr))
}

// service asks Redis without a deadline of its own, which costs least: rueidis gives a
// connection up after ten seconds.
type service struct {
	client rueidis.Client
	cached bool
}

var background = context.Background()

// user answers with one record.
func (s *service) user(ctx *fasthttp.RequestCtx) {
	key := "user:" + ctx.UserValue("id").(string)
	var result rueidis.RedisResult
	if s.cached {
		result = s.client.DoCache(background, s.client.B().Get().Key(key).Cache(), ttl)
	} else {
		result = s.client.Do(background, s.client.B().Get().Key(key).Build())
	}
	value, err := result.AsBytes()
	switch {
	case rueidis.IsRedisNil(err):
		ctx.Error(`{"detail":"not found"}`, fasthttp.StatusNotFound)
	case err != nil:
		ctx.Error(`{"detail":"redis does not answer"}`, fasthttp.StatusServiceUnavailable)
	default:
		write(ctx, answer{User: value, Source: "cache"})
	}
}

// users answers with many records, those of ?user_id=1&user_id=2.
func (s *service) users(ctx *fasthttp.RequestCtx) {
	var commands []rueidis.CacheableTTL
	for _, id := range ctx.QueryArgs().PeekMulti("user_id") {
		commands = append(commands, rueidis.CT(s.client.B().Get().Key("user:"+string(id)).Cache(), ttl))
	}
	answers := make([]answer, 0, len(commands))
	for _, result := range s.client.DoMultiCache(background, commands...) {
		value, err := result.AsBytes()
		switch {
		case rueidis.IsRedisNil(err):
			answers = append(answers, answer{User: json.RawMessage("null"), Source: "cache"})
		case err != nil:
			ctx.Error(`{"detail":"redis does not answer"}`, fasthttp.StatusServiceUnavailable)
			return
		default:
			answers = append(answers, answer{User: value, Source: "cache"})
		}
	}
	write(ctx, answers)
}

func write(ctx *fasthttp.RequestCtx, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		ctx.Error(`{"detail":"not JSON"}`, fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}
