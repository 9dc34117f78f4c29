package main

import (
	"context"
	"strings"

	"github.com/go-faster/jx"

	"clients/ogen"
)

// Bearer tells ogen's client which token to send; one without is sent as none.
func (p *player) Bearer(context.Context, ogen.OperationName) (ogen.Bearer, error) {
	return ogen.Bearer{Token: p.token}, nil
}

// stranger sends a token that the server does not know.
type stranger struct{}

func (stranger) Bearer(context.Context, ogen.OperationName) (ogen.Bearer, error) {
	return ogen.Bearer{Token: "unknown"}, nil
}

// playOgen plays the client that ogen makes.
func (p *player) playOgen() {
	ctx := context.Background()
	writer := must(ogen.NewClient(p.url, p))
	outsider := must(ogen.NewClient(p.url, stranger{}))
	record := ogen.User{ID: ogen.NewOptNilInt64(1), Name: ogen.NewOptNilString("张三"), City: ogen.NewOptNilString("北京")}

	first := must(writer.GetUser(ctx, ogen.GetUserParams{UserID: 1})).(*ogen.UserAnswerHeaders)
	p.same("ogen: a read", first.Response.User, record)
	again := must(writer.GetUser(ctx, ogen.GetUserParams{UserID: 1, IfNoneMatch: first.ETag})).(*ogen.GetUserNotModified)
	p.same("ogen: the validator of what has not changed", again.ETag, first.ETag)
	_ = must(writer.HeadUser(ctx, ogen.HeadUserParams{UserID: 1})).(*ogen.HeadUserOK)
	missing := must(writer.GetUser(ctx, ogen.GetUserParams{UserID: 1000000})).(*ogen.NotFoundHeaders)
	p.same("ogen: a missing record", missing.Response.Status, 404)

	many := must(writer.GetManyUser(ctx, ogen.GetManyUserParams{UserID: []int64{1, 1000000, 1}})).(*ogen.GetManyUserOKHeaders)
	p.same("ogen: a many-read has", len(many.Response), 3)
	p.same("ogen: its first record", many.Response[0].User.Value, record)
	p.same("ogen: its gap", many.Response[1].User.Null, true)

	body := &ogen.UserBody{Name: ogen.NewNilString("Ann")}
	refused := must(outsider.PutUser(ctx, body, ogen.PutUserParams{UserID: 2003})).(*ogen.UnauthorizedHeaders)
	p.same("ogen: a PUT with an unknown token", refused.Response.Status, 401)
	put := must(writer.PutUser(ctx, body, ogen.PutUserParams{UserID: 2003})).(*ogen.UserAnswerOrNullHeaders)
	p.same("ogen: a PUT", put.Response.User.Value.Name, ogen.NewOptNilString("Ann"))
	_ = must(writer.DeleteUser(ctx, ogen.DeleteUserParams{UserID: 2003})).(*ogen.DeleteUserNoContent)
	gone := must(writer.DeleteUser(ctx, ogen.DeleteUserParams{UserID: 2003})).(*ogen.NotFoundHeaders)
	p.same("ogen: a second DELETE", gone.Response.Status, 404)

	items := ogen.PostBatchProcessReqApplicationJSON{
		{ID: ogen.NewInt64BatchProcessItemID(7005), AdditionalProps: map[string]jx.Raw{"tags": jx.Raw(`["x"]`)}},
		{ID: ogen.NewStringBatchProcessItemID("ogen")},
	}
	stored := must(writer.PostBatchProcess(ctx, &items)).(*ogen.BatchProcessStoredHeaders)
	p.same("ogen: a batch", stored.Response.Count, int64(2))
	item := must(writer.GetItem(ctx, ogen.GetItemParams{ID: "7005"})).(*ogen.ItemAnswerHeaders)
	p.same("ogen: its item", string(item.Response.Item), `{"id":7005,"tags":["x"]}`)
	lines := must(writer.PostBatchProcess(ctx, &ogen.PostBatchProcessReqApplicationXNdjson{Data: strings.NewReader("{\"id\":7006}\n")}))
	p.same("ogen: a batch of lines", lines.(*ogen.BatchProcessStoredHeaders).Response.Count, int64(1))

	before := must(writer.GetConcurrentTest(ctx)).(*ogen.ConcurrentTestCountHeaders).Response.CurrentRequests
	after := must(writer.GetConcurrentTest(ctx)).(*ogen.ConcurrentTestCountHeaders).Response.CurrentRequests
	p.same("ogen: a counter rises", after > before, true)
	_ = must(writer.GetHealth(ctx))
}
