// Sends requests through node's own client; see send.py for what it takes and prints.
const http = require("node:http"), https = require("node:https"), readline = require("node:readline");

function send(r) {
	return new Promise((resolve) => {
		const options = { method: r.method, path: r.path, headers: { ...r.headers }, agent: false, timeout: 60000, rejectUnauthorized: false };
		if (r.unix) options.socketPath = r.unix;
		else Object.assign(options, { host: r.host, port: r.port });
		if (!r.chunked) options.headers["Content-Length"] = r.size;
		const request = (r.tls ? https : http).request(options, (answer) => {
			answer.resume();
			answer.on("end", () => resolve(String(answer.statusCode)));
			answer.on("error", (e) => resolve(e.message));
		});
		request.on("error", (e) => resolve(e.message));
		const piece = Buffer.alloc(1 << 16, "x");
		let left = r.size;
		const more = () => {
			while (left > 0) {
				const n = Math.min(left, piece.length);
				left -= n;
				if (!request.write(piece.subarray(0, n))) return request.once("drain", more);
			}
			request.end();
		};
		more();
	});
}

(async () => {
	for await (const line of readline.createInterface({ input: process.stdin })) console.log(await send(JSON.parse(line)));
})();
