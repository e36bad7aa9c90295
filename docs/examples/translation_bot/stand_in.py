"""A stand-in for an OpenAI-compatible endpoint, to try the bot without one. It reverses the text, accepts
only the key "try-it", and fails on a text that contains "fail"."""
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StandIn(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self.answer(404, {"error": {"message": "no such path"}})
        if self.headers["Authorization"] != "Bearer try-it":
            return self.answer(401, {"error": {"message": "wrong key"}})
        text = request["messages"][-1]["content"]
        if "fail" in text:
            return self.answer(500, {"error": {"message": "requested failure"}})
        message = {"role": "assistant", "content": text[::-1]}
        self.answer(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8089), StandIn).serve_forever()
