"""A bot that translates what is said, with a model behind an OpenAI-compatible endpoint.

It attends to the type "translation"; each bot of that type has its language in its config, such as
{"language": "de"}, and each chat may have another one in its assignment.
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
LONGEST_PAUSE = 8


def generated():
    """The contract as Python, made from proto/ where it is missing."""
    if not (GENERATED / "chat").exists():
        GENERATED.mkdir(exist_ok=True)
        files = ["chat/v1/bot_service.proto", "chat/v1/chat_service.proto"]
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--python_out={GENERATED}",
             f"--grpc_python_out={GENERATED}", *files], check=True)
    sys.path.insert(0, str(GENERATED))
    from chat.v1 import bot_service_pb2, bot_service_pb2_grpc
    return bot_service_pb2, bot_service_pb2_grpc


wire, rpc = generated()


def translate(text, language):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions",
        headers={"Content-Type": "application/json",
                 "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
        data=json.dumps({
            "model": os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
            "messages": [
                {"role": "system",
                 "content": f"Translate what the user says to the language '{language}'. "
                            "Answer with the translation alone."},
                {"role": "user", "content": text},
            ]}).encode())
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        return json.load(response)["choices"][0]["message"]["content"]


def answer(delivery):
    """What is said to one delivery. What goes wrong is tried again by the server, later."""
    answered = wire.WorkRequest.Answer(delivery_id=delivery.delivery_id)
    try:
        language = dict(delivery.config).get("language")
        if not isinstance(language, str):
            raise ValueError('no "language" in the bot\'s config, such as {"language": "de"}')
        answered.reply = translate(delivery.message.body, language)
    except Exception as error:  # Any failure is reported for its delivery.
        answered.error = f"{type(error).__name__}: {error}"
    print(delivery.message.id, answered.error or "translated", flush=True)
    return wire.WorkRequest(answer=answered)


def connect():
    """Over TLS where it is said whom to trust, and with a token where there is one."""
    address = os.environ.get("CHAT_ADDRESS", "127.0.0.1:50052")
    if authority := os.environ.get("CHAT_TLS_CA"):
        return grpc.secure_channel(
            address, grpc.ssl_channel_credentials(Path(authority).read_bytes()))
    return grpc.insecure_channel(address)


def who():
    token = os.environ.get("CHAT_TOKEN")
    return [("authorization", f"Bearer {token}")] if token else []


def attend(channel, workers):
    """Answers until the stream ends."""
    says = queue.SimpleQueue()
    says.put(wire.WorkRequest(attend=wire.WorkRequest.Attend(
        type="translation", concurrency=CONCURRENCY)))
    # None ends the sending thread.
    told = rpc.BotServiceStub(channel).Work(iter(says.get, None), metadata=who())
    try:
        for delivery in told:
            workers.submit(lambda delivery=delivery: says.put(answer(delivery)))
    finally:
        says.put(None)


def main():
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        if not os.environ.get(name):
            sys.exit(f"translation_bot: {name} is not set")
    pause = 0.25
    with ThreadPoolExecutor(CONCURRENCY) as workers:
        while True:
            started = time.monotonic()
            try:
                with connect() as channel:
                    attend(channel, workers)
            except grpc.RpcError as error:
                print("translation_bot:", error.code().name, error.details(), flush=True)
            pause = 0.25 if time.monotonic() - started > 60 else min(pause * 2, LONGEST_PAUSE)
            time.sleep(pause)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
