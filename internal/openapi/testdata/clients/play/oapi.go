package main

import (
	"context"
	"net/http"
	"strings"

	"clients/oapi"
)

// playOapi plays the client that oapi-codegen makes.
func (p *player) playOapi() {
	ctx := context.Background()
	open := must(oapi.NewClientWithResponses(p.url))
	writer := must(oapi.NewClientWithResponses(p.url, oapi.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+p.token)
		return nil
	})))
	record := oapi.User{Id: pointer(int64(1)), Name: pointer("张三"), City: pointer("北京")}

	first := must(open.GetUserWithResponse(ctx, 1, nil))
	p.same("oapi: a read", first.JSON200.User, record)
	etag := first.HTTPResponse.Header.Get("ETag")
	again := must(open.GetUserWithResponse(ctx, 1, &oapi.GetUserParams{IfNoneMatch: &etag}))
	p.same("oapi: a read of what has not changed", again.StatusCode(), 304)
	p.same("oapi: HEAD", must(open.HeadUserWithResponse(ctx, 1, nil)).StatusCode(), 200)
	missing := must(open.GetUserWithResponse(ctx, 1000000, nil))
	p.same("oapi: a missing record", missing.ApplicationproblemJSON404.Status, 404)

	many := must(open.GetManyUserWithResponse(ctx, &oapi.GetManyUserParams{UserId: []int64{1, 1000000, 1}}))
	p.same("oapi: a many-read has", len(*many.JSON200), 3)
	p.same("oapi: its first record", (*many.JSON200)[0].User, &record)
	p.same("oapi: its gap", (*many.JSON200)[1].User, (*oapi.User)(nil))

	body := oapi.UserBody{Name: pointer("Ann")}
	refused := must(open.PutUserWithResponse(ctx, 2002, nil, body))
	p.same("oapi: a PUT without a token", refused.ApplicationproblemJSON401.Status, 401)
	put := must(writer.PutUserWithResponse(ctx, 2002, nil, body))
	p.same("oapi: a PUT", put.JSON200.User, &oapi.User{Id: pointer(int64(2002)), Name: pointer("Ann")})
	bad := must(writer.PutUserWithResponse(ctx, 2002, nil, oapi.UserBody{}))
	p.same("oapi: a PUT of no name", bad.ApplicationproblemJSON422.Status, 422)
	p.same("oapi: a DELETE", must(writer.DeleteUserWithResponse(ctx, 2002, nil)).StatusCode(), 204)
	p.same("oapi: a second DELETE", must(writer.DeleteUserWithResponse(ctx, 2002, nil)).ApplicationproblemJSON404.Status, 404)

	var number, text oapi.BatchProcessItem_Id
	must(0, number.FromBatchProcessItemId1(7003))
	must(0, text.FromBatchProcessItemId0("oapi"))
	items := []oapi.BatchProcessItem{{Id: number, AdditionalProperties: map[string]any{"tags": []any{"x"}}}, {Id: text}}
	p.same("oapi: a batch", must(writer.PostBatchProcessWithResponse(ctx, items)).JSON200.Count, int64(2))
	item := must(open.GetItemWithResponse(ctx, "7003", nil))
	p.same("oapi: its item", item.JSON200.Item, any(map[string]any{"id": 7003.0, "tags": []any{"x"}}))
	lines := must(writer.PostBatchProcessWithBodyWithResponse(ctx, "application/x-ndjson", strings.NewReader("{\"id\":7004}\n")))
	p.same("oapi: a batch of lines", lines.JSON200.Count, int64(1))

	before := must(open.GetConcurrentTestWithResponse(ctx)).JSON200.CurrentRequests
	after := must(open.GetConcurrentTestWithResponse(ctx)).JSON200.CurrentRequests
	p.same("oapi: a counter rises", after > before, true)
	p.same("oapi: health", string(must(open.GetHealthWithResponse(ctx)).JSON200.Status), "ok")
}
