"""Sends requests as many clients do: all of the body before a byte of the answer
is read. Takes lines of JSON {"host","port","method","path","headers","size",
"chunked","tls","unix"} and prints the status of each, or what went wrong."""
import http.client, json, socket, ssl, sys


def connect(r):
    if r.get("tls"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(r["host"], r["port"], timeout=60, context=context)
    connection = http.client.HTTPConnection(r.get("host", "localhost"), r.get("port", 0), timeout=60)
    if r.get("unix"):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(r["unix"])
    return connection


def send(r):
    body = b"x" * r["size"]
    connection = connect(r)
    try:
        if r.get("chunked"):
            step = 1 << 16
            pieces = (body[i : i + step] for i in range(0, len(body), step))
            connection.request(r["method"], r["path"], pieces, r["headers"], encode_chunked=True)
        else:
            connection.request(r["method"], r["path"], body, r["headers"])
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except OSError as e:
        return "%s: %s" % (type(e).__name__, e)
    finally:
        connection.close()


for line in sys.stdin:
    print(send(json.loads(line)), flush=True)
