// Plays a typed client, made of the server's own document, against that server.
//
//	node built/play.js URL TOKEN
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[]; exitCode: number };

const [baseUrl = "", token = ""] = process.argv.slice(2);
const open: Client<paths> = createClient<paths>({ baseUrl });
const writer: Client<paths> = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

function same(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    process.exitCode = 1;
    console.error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  }
}

// What a client is told when it is refused has one type everywhere.
function refused(what: string, answer: { response: Response; error?: components["schemas"]["Problem"] }, want: number): void {
  same(what, [answer.response.status, answer.error?.status, typeof answer.error?.detail], [want, want, "string"]);
}

const params = (user_id: number) => ({ params: { path: { user_id } } });

const first = await open.GET("/user/{user_id}", params(1));
same("a read", first.data?.user, { id: 1, name: "张三", city: "北京" });
const source: "cache" | "db" | undefined = first.data?.source;
same("its source is one of two", source === "cache" || source === "db", true);

const etag = first.response.headers.get("ETag") ?? "";
const again = await open.GET("/user/{user_id}", { params: { path: { user_id: 1 }, header: { "If-None-Match": etag } } });
same("a read of what has not changed", [again.response.status, again.data], [304, undefined]);
same("HEAD", (await open.HEAD("/user/{user_id}", params(1))).response.status, 200);
refused("a read of a missing record", await open.GET("/user/{user_id}", params(1000000)), 404);

const many = await open.GET("/user", { params: { query: { user_id: [1, 1000000, 1] } } });
same("a many-read", many.data?.map((answer) => answer.user?.id ?? null), [1, null, 1]);
refused("a many-read of nothing", await open.GET("/user", { params: { query: { user_id: [] } } }), 422);

const body: components["schemas"]["UserBody"] = { name: "Ann", city: null };
refused("a PUT without a token", await open.PUT("/user/{user_id}", { ...params(2001), body }), 401);
const put = await writer.PUT("/user/{user_id}", { ...params(2001), body });
same("a PUT", put.data, { user: { id: 2001, name: "Ann", city: null }, source: "db" });
refused("a DELETE without a token", await open.DELETE("/user/{user_id}", params(2001)), 401);
same("a DELETE", (await writer.DELETE("/user/{user_id}", params(2001))).response.status, 204);
refused("a second DELETE", await writer.DELETE("/user/{user_id}", params(2001)), 404);

const items: components["schemas"]["BatchProcessItem"][] = [{ id: 7001, tags: ["x"] }, { id: "ts", deep: { a: null } }];
same("a batch", (await writer.POST("/batch_process", { body: items })).data, { status: "success", count: 2 });
same("its first item", (await open.GET("/item/{id}", { params: { path: { id: "7001" } } })).data?.item, { id: 7001, tags: ["x"] });
same("its second item", (await open.GET("/item/{id}", { params: { path: { id: "ts" } } })).data?.item, { id: "ts", deep: { a: null } });
const lines = await writer.POST("/batch_process", {
  body: '{"id":7002}\n',
  headers: { "Content-Type": "application/x-ndjson" },
  bodySerializer: (text: unknown) => String(text),
});
same("a batch of lines", lines.data, { status: "success", count: 1 });

const before = (await open.GET("/concurrent_test")).data?.current_requests ?? NaN;
const after = (await open.GET("/concurrent_test")).data?.current_requests ?? NaN;
same("a counter", after > before, true);
same("the root", (await open.GET("/")).data, { Hello: "World" });
same("health", (await open.GET("/healthz")).data?.status, "ok");
