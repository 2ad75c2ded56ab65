"""The network between sites: a TCP proxy for each direction that can be cut, frozen, slowed down or broken in
the middle of a message. What was sent before its sender gave up still arrives, as on a real network.
"""

import asyncio
import socket
import threading

CHUNK = 65536
CONNECT_S = 1.0


class Network:
    """Runs the event loop of all links in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.links = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def link(self, source, target, ports):
        made = Link(self.loop, source, target, ports)
        self.links.append(made)
        return made

    def heal(self):
        for link in self.links:
            link.heal()

    def close(self):
        self.heal()
        for link in self.links:
            asyncio.run_coroutine_threadsafe(link.close(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class Link:
    """The way from one site to another. It listens on a port of its own and goes to the first node that answers."""

    def __init__(self, loop, source, target, ports):
        self.loop = loop
        self.source = source
        self.target = target
        self.ports = ports
        self.turn = 0
        self.cut_now = False
        self.frozen = False
        self.delay_s = 0.0
        self.break_after = None
        self.writers = set()
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self.server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, sock=sock), loop).result(5)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    # ---- faults, callable from any thread

    def cut(self):
        """No connection comes through, and those that are there break."""
        self.cut_now = True
        self.loop.call_soon_threadsafe(self._abort_all)

    def freeze(self):
        """Nothing moves, and nobody is told."""
        self.frozen = True

    def slow(self, delay_s):
        self.delay_s = delay_s

    def break_next(self, n_bytes):
        """The next piece of data is cut off after so many bytes, together with its connection."""
        self.break_after = n_bytes

    def heal(self):
        self.cut_now = False
        self.frozen = False
        self.delay_s = 0.0
        self.break_after = None

    # ---- in the loop

    def _abort_all(self):
        for w in list(self.writers):
            w.transport.abort()

    async def close(self):
        self.server.close()
        self._abort_all()

    async def _connect(self):
        self.turn += 1
        for i in range(len(self.ports)):
            port = self.ports[(self.turn + i) % len(self.ports)]
            try:
                return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), CONNECT_S)
            except (OSError, asyncio.TimeoutError):
                continue
        return None

    async def _serve(self, reader, writer):
        there = None if self.cut_now else await self._connect()
        if there is None or self.cut_now:
            writer.transport.abort()
            if there:
                there[1].transport.abort()
            return
        pair = (writer, there[1])
        self.writers.update(pair)
        try:
            await asyncio.gather(self._pump(reader, there[1], pair), self._pump(there[0], writer, pair))
        finally:
            self.writers.difference_update(pair)
            for w in pair:
                w.close()

    async def _pump(self, reader, writer, pair):
        try:
            while True:
                data = await reader.read(CHUNK)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                while self.frozen:
                    await asyncio.sleep(0.02)
                if data and self.break_after is not None:
                    data, self.break_after = data[:self.break_after], None
                    writer.write(data)
                    await writer.drain()
                    for w in pair:
                        w.transport.abort()
                    return
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            for w in pair:
                w.transport.abort()
