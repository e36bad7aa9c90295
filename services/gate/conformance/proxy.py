"""A TCP proxy that can fall silent: it keeps connections open and drops their bytes."""

from __future__ import annotations

import asyncio
import threading


class Proxy:
    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._generation = 0
        self._silenced = -1
        started = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            server = self._loop.run_until_complete(
                asyncio.start_server(self._accept, "127.0.0.1", 0)
            )
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            self._loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        started.wait()

    def silence_open_connections(self) -> None:
        """From now on nothing passes on the connections that are open; new ones work."""
        self._silenced = self._generation
        self._generation += 1

    def close(self) -> None:
        async def stop() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(stop(), self._loop)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        generation = self._generation
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            self._pump(reader, up_writer, generation), self._pump(up_reader, writer, generation)
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, generation: int
    ) -> None:
        try:
            while data := await reader.read(65536):
                if generation > self._silenced:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        # A silent network does not carry the end of a connection either.
        if generation > self._silenced:
            writer.close()
