package openapi_test

import (
	"encoding/json"
	"time"

	"hearth/internal/openapi"
	"hearth/internal/param"
)

// demo describes what the configuration of the demo serves.
// path parses the path of a resource.
func path(text string) param.Path {
	p, wrong := param.ParsePath(text)
	if wrong != "" {
		panic(text + " " + wrong)
	}
	return p
}

func demo() openapi.API {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	return openapi.API{
		Title:       "Hearth",
		Version:     "1.0.0",
		Description: "Hot JSON reads from memory, kept coherent with Redis and with the database behind it. HEAD works wherever GET does, the counters excepted.",
		Resources: []openapi.Resource{
			{
				Name: "user", Path: path("/user/{user_id:int}"),
				Envelope: "user", CanPut: true, CanDelete: true, ManyRead: true, HasSource: true, Renames: true,
				Example: raw(`{"id":1,"name":"张三","city":"北京"}`), ExampleArgs: []string{"1"}, MissingArgs: []string{"1000000"},
				PutExample: raw(`{"name":"张三","city":"北京"}`),
				PutMembers: []openapi.Member{{Name: "name", Required: true}, {Name: "city"}},
				PutIgnored: []string{"id", "user_id"}, PutClosed: true,
			},
			{
				Name: "item", Path: path("/item/{id:string}"),
				Envelope: "item", ManyRead: true,
				Example: raw(`{"id":1,"name":"lamp","price":12.5}`), ExampleArgs: []string{"1"},
			},
		},
		Batches: []openapi.Batch{{
			Path: "/batch_process", Resource: "item",
			Example: raw(`[{"id":1,"name":"lamp","price":12.5},{"id":2,"name":"desk","price":140}]`),
		}},
		Counters: []openapi.Counter{{Path: "/concurrent_test"}},
		MaxMany:  100, MaxItems: 10000, MaxBody: 8 << 20,
	}
}

// full describes a server that uses everything a description can say.
func full() openapi.API {
	api := demo()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	api.TokensRequired = true
	api.Resources = append(api.Resources,
		openapi.Resource{
			Name: "order_line", Path: path("/order/{order_id:uuid}/line/{line:int}"),
			CanPut: true, CanDelete: true, HasSource: true,
			Example:     raw(`{"line":9007199254740993,"sku":"a<b>&c","price":3,"tags":["x"],"address":{"city":null}}`),
			ExampleArgs: []string{"0b2f3c1e-8a52-4f3c-9a51-0d9f2b7a6c10", "9007199254740993"},
			PutExample:  raw(`{"sku":"d","address":{"city":"Oslo","zip":"0150"},"parts":[1]}`),
			PutMembers:  []openapi.Member{{Name: "sku", Required: true}, {Name: "address.city", Required: true}, {Name: "address.zip"}, {Name: "parts"}, {Name: "other"}},
			PutIgnored:  []string{"line"}, PutClosed: true,
		},
		openapi.Resource{
			Name: "orders-of-day", Path: path("/day/{day:string}"),
			Envelope: "orders", Many: true, ManyRead: true, HasSource: true,
			Example: raw(`[{"order":1,"open":true},{"order":2,"open":false}]`), ExampleArgs: []string{"2024-02-29"}, MissingArgs: []string{"1970-01-01"},
		},
		openapi.Resource{
			Name: "Problem", Path: path("/problem/{id:uuid}"),
			CanPut: true, HasSource: true, PutExample: raw(`{"any":1}`),
		},
	)
	api.Batches = append(api.Batches, openapi.Batch{Path: "/more", Resource: "item", TTL: 90 * time.Minute}, openapi.Batch{Path: "/stray", Resource: "unknown"})
	api.Counters = append(api.Counters, openapi.Counter{Path: "/more"})
	return api
}
