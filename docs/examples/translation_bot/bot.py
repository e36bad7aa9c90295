"""A bot that translates messages with a model behind an OpenAI-compatible endpoint.

It works for the bot type "translation". The config of each bot of that type names its language, such as
{"language": "de"}; the assignment to a chat may name another one.
"""
import json
import os
import queue
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

HERE = Path(__file__).resolve().parent
GENERATED = HERE / "generated"
PROTO = HERE.parents[2] / "proto"
CONCURRENCY = 4
TIMEOUT = 20  # Seconds; less than the lease of a delivery, 30.
MAX_DELAY = 8


def load_contract():
    """Imports the contract's code; generates it from proto/ if it is missing."""
    if not (GENERATED / "chat").exists():
        GENERATED.mkdir(exist_ok=True)
        files = ["chat/v1/bot_service.proto", "chat/v1/chat_service.proto"]
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--python_out={GENERATED}",
             f"--grpc_python_out={GENERATED}", *files], check=True)
    sys.path.insert(0, str(GENERATED))
    from chat.v1 import bot_service_pb2, bot_service_pb2_grpc
    return bot_service_pb2, bot_service_pb2_grpc


wire, rpc = load_contract()


def translate(text, language):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions",
        headers={"Content-Type": "application/json",
                 "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
        data=json.dumps({
            "model": os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
            "messages": [
                {"role": "system",
                 "content": f"Translate the user's message to the language '{language}'. "
                            "Answer with the translation only."},
                {"role": "user", "content": text},
            ]}).encode())
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        return json.load(response)["choices"][0]["message"]["content"]


def answer(delivery):
    """Translates one delivery. The server tries a failed delivery again later."""
    result = wire.WorkRequest.Answer(delivery_id=delivery.delivery_id)
    try:
        language = dict(delivery.config).get("language")
        if not isinstance(language, str):
            raise ValueError('no "language" in the bot\'s config, such as {"language": "de"}')
        result.reply = translate(delivery.message.body, language)
    except Exception as error:  # Any failure is reported for its delivery.
        result.error = f"{type(error).__name__}: {error}"
    print(delivery.message.id, result.error or "translated", flush=True)
    return wire.WorkRequest(answer=result)


def connect():
    """Opens a channel, with TLS if CHAT_TLS_CA is set."""
    address = os.environ.get("CHAT_ADDRESS", "127.0.0.1:50052")
    if authority := os.environ.get("CHAT_TLS_CA"):
        return grpc.secure_channel(
            address, grpc.ssl_channel_credentials(Path(authority).read_bytes()))
    return grpc.insecure_channel(address)


def credentials():
    token = os.environ.get("CHAT_TOKEN")
    return [("authorization", f"Bearer {token}")] if token else []


def attend(channel, workers):
    """Answers until the stream ends."""
    requests = queue.SimpleQueue()
    requests.put(wire.WorkRequest(attend=wire.WorkRequest.Attend(
        type="translation", concurrency=CONCURRENCY)))
    # None ends the sending thread.
    deliveries = rpc.BotServiceStub(channel).Work(iter(requests.get, None), metadata=credentials())
    try:
        for delivery in deliveries:
            workers.submit(lambda delivery=delivery: requests.put(answer(delivery)))
    finally:
        requests.put(None)


def main():
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        if not os.environ.get(name):
            sys.exit(f"translation_bot: {name} is not set")
    delay = 0.25
    with ThreadPoolExecutor(CONCURRENCY) as workers:
        while True:
            started = time.monotonic()
            try:
                with connect() as channel:
                    attend(channel, workers)
            except grpc.RpcError as error:
                print("translation_bot:", error.code().name, error.details(), flush=True)
            delay = 0.25 if time.monotonic() - started > 60 else min(delay * 2, MAX_DELAY)
            time.sleep(delay)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
